// The reductions that ship: rows, columns, and any set of dimensions as a sequence of those two.
//
// All are deterministic: results depend on the shape, on x's alignment and on the elements, neither
// on the device nor on chance.
// Sums are formed in accum_t<T>; results are stored in Out, which is T or accum_t<T>.
#pragma once

#include "columns.cuh"

KFER_KERNELS_BEGIN

/// A shape, slowest dimension first, of which some dimensions are reduced.
struct Reduction {
  static constexpr int max_dims = 8;
  int dims = 0;
  long long extent[max_dims] = {};
  bool reduced[max_dims] = {};

  /// Adds a dimension inside of those that are there, joined with the last if it is of the same kind.
  void push(long long n, bool is_reduced) {
    if (n == 1) return;
    if (dims && reduced[dims - 1] == is_reduced) {
      extent[dims - 1] *= n;
      return;
    }
    extent[dims] = n;
    reduced[dims++] = is_reduced;
  }
};

namespace detail {

/// One launch: [outer, n, inner] to [outer, parts, inner], each part being the reduction of a share of n.
/// With parts of more than one, a later step joins them.
struct ReduceStep {
  long long outer, n, inner, parts, piece;

  long long results() const { return outer * parts * inner; }
};

inline constexpr long long row_piece = 16384;  ///< elements that a block takes of a row, where rows are few

/// The step that reduces the middle of [outer, n, inner]. Parts follow from the shape alone.
inline ReduceStep reduce_step(long long outer, long long n, long long inner) {
  long long parts = 1;
  if (inner == 1) {
    if (outer < 1024 && n > row_piece) parts = div_up(n, row_piece);
    return {outer, n, inner, parts, parts == 1 ? n : row_piece};
  }
  if (n >= 1024) {  // aim at 512 blocks, of at least 64 rows
    const long long blocks = outer * div_up(inner, 256);
    parts = blocks < 1 ? 1 : 512 / blocks;
    parts = parts > 256 ? 256 : parts;
    parts = parts > n / 64 ? n / 64 : parts;
    parts = parts < 1 ? 1 : parts;
  }
  const long long piece = div_up(n, parts);
  return {outer, n, inner, piece ? div_up(n, piece) : 1, piece};
}

/// The launches of a reduction, in order.
struct ReducePlan {
  static constexpr int max_steps = 4 * Reduction::max_dims;
  int steps = 0;
  ReduceStep step[max_steps];

  explicit ReducePlan(Reduction shape) {
    for (int d = shape.dims - 1; d >= 0; --d) {
      if (!shape.reduced[d]) continue;
      long long outer = 1, inner = 1;
      for (int k = 0; k < d; ++k) outer *= shape.extent[k];
      for (int k = d + 1; k < shape.dims; ++k)
        if (!shape.reduced[k]) inner *= shape.extent[k];
      long long n = shape.extent[d];
      do {
        step[steps] = reduce_step(outer, n, inner);
        n = step[steps++].parts;
      } while (n > 1);
    }
    if (steps == 0) {  // nothing is reduced: a copy
      long long all = 1;
      for (int d = 0; d < shape.dims; ++d) all *= shape.extent[d];
      step[steps++] = {all, 1, 1, 1, 1};
    }
  }
  /// Bytes of all results but the last, as elements of A.
  template <class A>
  size_t workspace() const {
    size_t bytes = 0;
    for (int s = 0; s + 1 < steps; ++s) bytes += bytes_of<A>(step[s]);
    return bytes;
  }
  template <class A>
  static size_t bytes_of(const ReduceStep& s) {
    return static_cast<size_t>(div_up(s.results() * static_cast<long long>(sizeof(A)), 256) * 256);
  }
};

/// Whether rows are worth a block each; else lanes of a warp share one.
inline bool by_blocks(const ReduceStep& s) {
  return s.n >= 2048 || s.parts > 1;
}

template <class Op, int N, class In, class Out>
void launch_rows(const In* x, Out* y, const ReduceStep& s, accum_t<In> factor, Stream stream) {
  constexpr int U = N == 1 ? 8 : 4, threads = 256;
  if (by_blocks(s)) {
    launch(reduce_rows_block<Op, N, U, In, Out>, dim3(static_cast<unsigned>(s.outer * s.parts)),
           dim3(threads), 0, stream, x, y, s.n, s.piece, static_cast<unsigned>(s.parts), factor);
  } else {
    unsigned group = 1;
    while (group < 32 && group * 2 * N <= s.n) group *= 2;
    launch(reduce_rows_group<Op, N, In, Out>, dim3(grid_blocks(s.outer, threads / group)), dim3(threads), 0,
           stream, x, y, s.outer, s.n, group, factor);
  }
}

template <class Op, int N, class In, class Out>
void launch_columns(const In* x, Out* y, const ReduceStep& s, accum_t<In> factor, Stream stream) {
  const long long vectors = s.inner / N;
  unsigned width = 1;
  while (width < 32 && width < vectors) width *= 2;
  const auto tiles = static_cast<unsigned>(div_up(vectors, width));
  launch(reduce_columns<Op, N, 8, In, Out>,
         dim3(static_cast<unsigned>(tiles * s.outer), static_cast<unsigned>(s.parts)),
         dim3(width, 256 / width), 0, stream, x, y, s.n, s.inner, s.piece, tiles, factor);
}

template <class Op, class In, class Out>
void run_step(const In* x, Out* y, const ReduceStep& s, accum_t<In> factor, Stream stream) {
  constexpr int N = vec_width<In>;
  if (s.results() == 0) return;
  if (s.inner == 1) {
    if (aligned16(x) && (s.n % N == 0 || (s.outer == 1 && by_blocks(s))))
      return launch_rows<Op, N>(x, y, s, factor, stream);
    return launch_rows<Op, 1>(x, y, s, factor, stream);
  }
  if (aligned16(x) && s.inner % N == 0) return launch_columns<Op, N>(x, y, s, factor, stream);
  return launch_columns<Op, 1>(x, y, s, factor, stream);
}

template <class Op, class T, class Out>
void run_plan(const ReducePlan& plan, const T* x, Out* y, accum_t<T> factor, void* workspace, Stream stream) {
  using A = accum_t<T>;
  if (plan.steps == 1) return run_step<Op>(x, y, plan.step[0], factor, stream);
  auto* memory = static_cast<unsigned char*>(workspace);
  auto* partial = reinterpret_cast<A*>(memory);
  run_step<Op>(x, partial, plan.step[0], A(1), stream);
  for (int s = 1; s + 1 < plan.steps; ++s) {
    memory += ReducePlan::bytes_of<A>(plan.step[s - 1]);
    auto* next = reinterpret_cast<A*>(memory);
    run_step<Op>(static_cast<const A*>(partial), next, plan.step[s], A(1), stream);
    partial = next;
  }
  run_step<Op>(static_cast<const A*>(partial), y, plan.step[plan.steps - 1], factor, stream);
}

}  // namespace detail

/// Bytes that `reduce` of elements T over this shape needs in `workspace`, aligned to 256.
template <class T>
size_t reduce_workspace(const Reduction& shape) {
  return detail::ReducePlan(shape).workspace<accum_t<T>>();
}

/// y = factor * the reduction of x over the reduced dimensions of `shape`, by Op = Sum or Max (with factor
/// 1). The reduction of no elements is Op's neutral element: 0, or minus infinity.
template <class Op, class T, class Out>
void reduce(const T* x, Out* y, const Reduction& shape, accum_t<T> factor, void* workspace, Stream stream) {
  detail::run_plan<Op>(detail::ReducePlan(shape), x, y, factor, workspace, stream);
}

/// Bytes that channel_sums needs in `workspace`, aligned to 256.
template <class T>
size_t channel_sums_workspace(long long rows, long long channels) {
  Reduction shape;
  shape.push(rows, true);
  shape.push(channels, false);
  return reduce_workspace<T>(shape);
}

/// y[c] = the sum over r of x[r, c]: the gradient of a bias, x being [rows, channels], which is what NHWC
/// activations are. Out is T or accum_t<T>.
template <class T, class Out>
void channel_sums(const T* x, Out* y, long long rows, long long channels, void* workspace, Stream stream) {
  if (channels == 0) return;
  Reduction shape;
  shape.push(rows, true);
  shape.push(channels, false);
  reduce<Sum>(x, y, shape, accum_t<T>(1), workspace, stream);
}

KFER_KERNELS_END
