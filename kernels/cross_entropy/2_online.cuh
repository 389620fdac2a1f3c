// Loss and gradient in one kernel, a block a row: maximum and sum in one pass over the row, loss and gradient
// in a second one, which finds the row in the caches.
//
// Memory moves 2 n sizeof(T) bytes (logits in, gradient out) while a row fits the caches; two joins of the
// block a row. The choice for rows that do not fit the registers of a warp.
#pragma once

#include "../common/loss_sum.cuh"
#include "targets.cuh"

KFER_KERNELS_BEGIN

template <class T, int W, class Targets>
__global__ void __launch_bounds__(256)
    cross_entropy_online_kernel(const T* __restrict__ x, Targets targets, ClassWeights<T> weights,
                                Divisor divisor, T* __restrict__ gradient, LossPart* __restrict__ parts,
                                long long rows, long long cols) {
  using A = accum_t<T>;
  const A factor = static_cast<A>(1 / divisor.over_block());
  LossPart mine;
  for (long long r = blockIdx.x; r < rows; r += gridDim.x) {
    if (!targets.accepts(r, cols)) mine.refuse(r);
    OnlineMaxSum<A> row;
    A share = A(0);
    for (long long c = threadIdx.x * W; c < cols; c += blockDim.x * W) {
      const Vec<T, W> v = load_vec<W>(x + r * cols + c, 0);
      A wide[W], t[W];
      targets.load(r, cols, c, t);
#pragma unroll
      for (int j = 0; j < W; ++j) {
        wide[j] = widen(v[j]);
        share += weights.of(t[j], c + j);
      }
      row.take(wide);
    }
    row.join_block();
    share = block_sum(share);
    const A log_sum = std::log(row.sum), probability = share / row.sum;
    A cost = threadIdx.x == 0 ? row.sum * A(0) : A(0);  // a NaN among the logits is a NaN in the loss
    for (long long c = threadIdx.x * W; c < cols; c += blockDim.x * W) {
      Vec<T, W> v = load_vec<W>(x + r * cols + c, 0);
      A t[W];
      targets.load(r, cols, c, t);
#pragma unroll
      for (int j = 0; j < W; ++j) {
        const A below = widen(v[j]) - row.largest, q = weights.of(t[j], c + j);
        cost += log_cost(q, below - log_sum);
        v[j] = narrow<T>((std::exp(below) * probability - q) * factor);
      }
      if (gradient) store_vec<W>(gradient + r * cols + c, 0, v);
    }
    mine.sum += static_cast<double>(cost);
  }
  const LossPart all = join_block(mine);
  if (threadIdx.x == 0) parts[blockIdx.x] = all;
}

/// Writes the parts of the loss; returns how many. `gradient` may be null.
template <class T, class Targets>
unsigned cross_entropy_online(const T* x, const Targets& targets, const ClassWeights<T>& weights,
                              const Divisor& divisor, T* gradient, LossPart* parts, long long rows,
                              long long cols, Stream stream) {
  constexpr int W = vec_width<T>;
  const unsigned blocks = loss_blocks(rows, 1);
  const bool vectors = cols % W == 0 && aligned16(x, gradient) && targets.vectors;
  launch(vectors ? cross_entropy_online_kernel<T, W, Targets> : cross_entropy_online_kernel<T, 1, Targets>,
         dim3(blocks), dim3(256), 0, stream, x, targets, weights, divisor, gradient, parts, rows, cols);
  return blocks;
}

KFER_KERNELS_END
