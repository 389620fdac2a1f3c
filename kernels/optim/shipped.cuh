// The optimisers that ship: 3_vectorised, and what gradients and captured steps go through besides.
#pragma once

#include "3_vectorised.cuh"
#include "gradients.cuh"
#include "guard.cuh"

KFER_KERNELS_BEGIN

/// One step of `Rule` (AdamRule, SgdRule) over `n` tensors. `live` (device memory, or null) holds the
/// coefficients in place of `coefficients`: a captured graph finds the step's own numbers there in every
/// replay. `scale` (likewise) is what gradients are multiplied by, in place of grad_scale; if it is a NaN,
/// nothing changes.
template <class Rule>
void optimizer_step(const typename Rule::Entry* entries, long long n,
                    const typename Rule::Coefficients& coefficients, const typename Rule::Coefficients* live,
                    const double* scale, Stream stream) {
  step_vectorised<Rule>(entries, n, coefficients, live, stream, scale);
}

/// Hands the sum of x^2 over all elements of `n` tensors to `then` (StoreTo, JudgeStep), in one thread of the
/// device: in double, with the same bits in every run, and finite exactly if every element is (T of at most
/// 32 bits). `parts`: most_square_parts numbers of room.
template <class T, class Then>
void sum_of_squares(const Span<T>* tensors, long long n, double* parts, const Then& then, Stream stream) {
  long long chunks = 0;
  for (long long i = 0; i < n; ++i) chunks += div_up(tensors[i].count, chunk_elements);
  unsigned blocks = 0;
  with_tensor_tables(tensors, n, [&]<class Table>(const Table& table) {
    const bool first = blocks == 0;
    if (first) blocks = std::min(grid_blocks(chunks, 1, 8, 1), most_square_parts);
    launch(sum_of_squares_kernel<T, Table>, dim3(blocks), dim3(256), 0, stream, table, parts, first);
  });
  launch(finish_sum_of_squares_kernel<Then>, dim3(1), dim3(256), 0, stream, parts, static_cast<int>(blocks),
         then);
}

/// Copies `n` tensors; if `unless` is not null, only where *unless is a NaN: a step that was not taken.
template <class T>
void copy_tensors(const CopyEntry<T>* tensors, long long n, const double* unless, Stream stream) {
  with_tensor_tables(tensors, n, [&]<class Table>(const Table& table) {
    launch(copy_tensors_kernel<Table>, dim3(grid_blocks(table.chunks(), 1)), dim3(256), 0, stream, table,
           unless);
  });
}

/// x *= factor, over n elements.
template <class T>
void scale_in_place(T* x, long long n, double factor, Stream stream) {
  change_in_place(x, n, ScaleBy<accum_t<T>>{static_cast<accum_t<T>>(factor)}, stream);
}
/// x = x limited to [low, high], over n elements; a NaN stays one.
template <class T>
void clamp_in_place(T* x, long long n, double low, double high, Stream stream) {
  using A = accum_t<T>;
  change_in_place(x, n, ClampTo<A>{static_cast<A>(low), static_cast<A>(high)}, stream);
}

KFER_KERNELS_END
