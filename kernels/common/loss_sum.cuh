// What losses share: the sum over a batch in two stages, always in the same order, with the first target that
// is refused; and the last factor of a gradient.
#pragma once

#include "grid.cuh"
#include "group8.cuh"
#include "reduce.cuh"

KFER_KERNELS_BEGIN

/// What a block adds to a loss, in double, and the first index in it whose target is none.
struct LossPart {
  static constexpr long long none = 0x7FFFFFFFFFFFFFFF;
  double sum = 0;
  long long refused = none;

  __device__ void refuse(long long index) {
    if (index < refused) refused = index;
  }
};

struct Smaller {
  template <class A>
  __device__ A operator()(A a, A b) const {
    return a < b ? a : b;
  }
};

/// The parts of all threads of a block together, in all of them.
__device__ inline LossPart join_block(LossPart part) {
  LossPart all;
  all.sum = block_sum(part.sum);
  all.refused = block_reduce(part.refused, Smaller{}, +LossPart::none);
  return all;
}

/// What a loss is divided by: a number, or the sum of `count` numbers in memory.
struct Divisor {
  double number = 1;
  const double* parts = nullptr;
  int count = 0;

  /// In all threads of a block, all of which take part. The same bits in every block.
  __device__ double over_block() const {
    if (!parts) return number;
    double sum = 0;
    for (int i = static_cast<int>(threadIdx.x); i < count; i += static_cast<int>(blockDim.x)) sum += parts[i];
    return block_sum(sum);
  }
};

/// Blocks of 256 threads of a kernel that writes one LossPart each: one wave over the device.
inline constexpr unsigned most_loss_blocks = 2048;
inline unsigned loss_blocks(long long work, long long per_block) {
  const unsigned blocks = grid_blocks(work, per_block, 8, 1);
  return blocks < most_loss_blocks ? blocks : most_loss_blocks;
}

/// Memory that a loss needs while it runs.
struct LossWorkspace {
  LossPart parts[most_loss_blocks];
  double weights[most_loss_blocks];
};

/// What `status` becomes: an index at which the target was refused, or one of these.
inline constexpr long long loss_is_fine = -1, loss_has_no_weight = -2;

/// Joins the parts in order: *loss = sum / divisor, a NaN if a target was refused. One block.
template <class T>
__global__ void finish_loss_kernel(const LossPart* __restrict__ parts, int count, Divisor divisor,
                                   T* __restrict__ loss, long long* __restrict__ status) {
  LossPart mine;
  for (int i = static_cast<int>(threadIdx.x); i < count; i += static_cast<int>(blockDim.x)) {
    mine.sum += parts[i].sum;
    mine.refused = Smaller{}(mine.refused, parts[i].refused);
  }
  const LossPart all = join_block(mine);
  const double by = divisor.over_block();
  if (threadIdx.x != 0) return;
  const bool fine = all.refused == LossPart::none;
  *loss = narrow<T>(static_cast<accum_t<T>>(fine ? all.sum / by : static_cast<double>(NAN)));
  *status = !fine ? all.refused : by == 0 ? loss_has_no_weight : loss_is_fine;
}

template <class T>
void finish_loss(const LossPart* parts, unsigned count, const Divisor& divisor, T* loss, long long* status,
                 Stream stream) {
  launch(finish_loss_kernel<T>, dim3(1), dim3(256), 0, stream, parts, static_cast<int>(count), divisor, loss,
         status);
}

/// x *= *factor, a number in device memory, so that the host need not wait for it. A factor of 1, which is
/// what the gradient of a loss that nothing follows gets, costs no pass over memory.
template <class T>
__global__ void __launch_bounds__(256)
    scale_by_kernel(T* x, long long n, const T* __restrict__ factor, bool vectors) {
  const accum_t<T> f = widen(*factor);
  if (f == 1) return;
  const long long groups = div_up(n, 8), stride = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long g = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; g < groups; g += stride) {
    Group8<T> v = load8(x + 8 * g, n - 8 * g, vectors);
#pragma unroll
    for (int j = 0; j < 8; ++j) v[j] = narrow<T>(widen(v[j]) * f);
    store8(x + 8 * g, v, n - 8 * g, vectors);
  }
}
template <class T>
void scale_by(T* x, long long n, const T* factor, Stream stream) {
  if (n == 0) return;
  launch(scale_by_kernel<T>, dim3(grid_blocks(div_up(n, 8), 256)), dim3(256), 0, stream, x, n, factor,
         aligned16(x));
}

/// The mean of a loss of single elements, and its gradient, in one pass: x and the targets are read once, the
/// gradient is written once: 3 n sizeof(T) bytes. `Loss` has `accepts(target)`, `value(x, target, weight)`
/// and `derivative(x, target, weight)`; the weight is that of the element's channel (the fastest dimension),
/// or 1.
template <class T, class Loss>
__global__ void __launch_bounds__(256)
    pointwise_loss_kernel(const T* __restrict__ x, const T* __restrict__ target,
                          const T* __restrict__ weights, T* __restrict__ gradient, long long n,
                          long long channels, accum_t<T> share, LossPart* __restrict__ parts, bool vectors,
                          bool weight_vectors) {
  using A = accum_t<T>;
  const long long groups = div_up(n, 8), stride = static_cast<long long>(gridDim.x) * blockDim.x;
  long long g = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  ChannelWalk channel(weights ? g : 0, weights ? stride : 0, channels);
  LossPart mine;
  for (; g < groups; g += stride, channel.next()) {
    const long long count = n - 8 * g;
    Group8<T> v = load8(x + 8 * g, count, vectors), w = {};
    const Group8<T> t = load8(target + 8 * g, count, vectors);
    if (weights) w = load_channels8(weights, channel, weight_vectors);
    A sum = A(0);
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      if (j >= count) break;
      const A xj = widen(v[j]), tj = widen(t[j]), wj = weights ? widen(w[j]) : A(1);
      if (!Loss::accepts(tj)) mine.refuse(8 * g + j);
      sum += Loss::value(xj, tj, wj);
      v[j] = narrow<T>(Loss::derivative(xj, tj, wj) * share);
    }
    mine.sum += static_cast<double>(sum);
    if (gradient) store8(gradient + 8 * g, v, count, vectors);
  }
  const LossPart all = join_block(mine);
  if (threadIdx.x == 0) parts[blockIdx.x] = all;
}

template <class T, class Loss>
void pointwise_loss(const T* x, const T* target, const T* weights, T* gradient, long long n,
                    long long channels, T* loss, long long* status, LossWorkspace* workspace, Stream stream) {
  const unsigned blocks = loss_blocks(div_up(n, 8), 256);
  launch(pointwise_loss_kernel<T, Loss>, dim3(blocks), dim3(256), 0, stream, x, target, weights, gradient, n,
         channels, accum_t<T>(1) / static_cast<accum_t<T>>(n), workspace->parts,
         aligned16(x, target) && aligned16(gradient), weights && channels % 8 == 0 && aligned16(weights));
  finish_loss(workspace->parts, blocks, Divisor{static_cast<double>(n)}, loss, status, stream);
}

KFER_KERNELS_END
