// A row in the registers of a warp, or of 4, 8 or 16 lanes of one: logits are read once, loss and gradient
// come out.
//
// Rows of up to 1024 classes (512 doubles). Moves the floor: logits in, gradient out, 2 n sizeof(T) bytes
// (and n more for targets that are distributions). Shuffles alone join a row; the block meets once, at its
// end, for its part of the loss.
#pragma once

#include "../common/loss_sum.cuh"
#include "targets.cuh"

KFER_KERNELS_BEGIN

template <class T, class Tile, class Targets>
__global__ void __launch_bounds__(Tile::threads)
    cross_entropy_warp_kernel(const T* __restrict__ x, Targets targets, ClassWeights<T> weights,
                              Divisor divisor, T* __restrict__ gradient, LossPart* __restrict__ parts,
                              long long rows, int cols) {
  using A = accum_t<T>;
  constexpr int W = Tile::width;
  const A factor = static_cast<A>(1 / divisor.over_block());
  LossPart mine;
  for (long long first = static_cast<long long>(blockIdx.x) * Tile::rows_per_block; first < rows;
       first += static_cast<long long>(gridDim.x) * Tile::rows_per_block) {
    const long long r = first + threadIdx.x / Tile::lanes;
    const bool inside = r < rows;
    if (inside && !targets.accepts(r, cols)) mine.refuse(r);
    A v[Tile::size], q[Tile::size];
    Tile::load(x + r * cols, cols, inside, A(-INFINITY), v);
#pragma unroll
    for (int k = 0; k < Tile::items; ++k) {
      const int c = Tile::column(k);
      A t[W] = {};
      const bool there = inside && c < cols;
      if (there) targets.load(r, cols, c, t);
#pragma unroll
      for (int j = 0; j < W; ++j) q[k * W + j] = there ? weights.of(t[j], c + j) : A(0);
    }
    A share = A(0), cost = A(0);
#pragma unroll
    for (int i = 0; i < Tile::size; ++i) share += q[i];
    share = Tile::reduce(share, Sum{});
    const A sum = Tile::shift_and_sum(v);
    const A log_sum = std::log(sum), probability = share / sum;
#pragma unroll
    for (int i = 0; i < Tile::size; ++i) {
      cost += log_cost(q[i], v[i] - log_sum);
      v[i] = (std::exp(v[i]) * probability - q[i]) * factor;
    }
    if (inside)
      mine.sum += static_cast<double>(cost + sum * A(0));  // a NaN among the logits is one in the loss
    if (gradient) Tile::store(gradient + r * cols, cols, inside, v);
  }
  const LossPart all = join_block(mine);
  if (threadIdx.x == 0) parts[blockIdx.x] = all;
}

/// Writes the parts of the loss; returns how many. cols <= longest_tile_row<T>; `gradient` may be null.
template <class T, class Targets>
unsigned cross_entropy_warp(const T* x, const Targets& targets, const ClassWeights<T>& weights,
                            const Divisor& divisor, T* gradient, LossPart* parts, long long rows,
                            long long cols, Stream stream) {
  unsigned blocks = 0;
  const auto run = [&]<class Tile>(Tile) {
    blocks = loss_blocks(rows, Tile::rows_per_block);
    launch(cross_entropy_warp_kernel<T, Tile, Targets>, dim3(blocks), dim3(Tile::threads), 0, stream, x,
           targets, weights, divisor, gradient, parts, rows, static_cast<int>(cols));
  };
  if (cols % vec_width<T> == 0 && aligned16(x, gradient) && targets.vectors)
    with_row_tile<T, vec_width<T>>(cols, run);
  else
    with_row_tile<T, 1>(cols, run);
  return blocks;
}

KFER_KERNELS_END
