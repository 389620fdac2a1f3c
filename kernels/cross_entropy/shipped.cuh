// The softmax cross-entropy that ships: 3_warp for rows of up to 1024 classes (512 doubles), 2_online for
// longer ones.
#pragma once

#include "2_online.cuh"
#include "3_warp.cuh"

KFER_KERNELS_BEGIN

/// parts[block] = a share of the sum of weights[labels[r]] over all rows; labels that are no class count
/// nothing.
template <class T>
__global__ void __launch_bounds__(256)
    label_weights_kernel(const std::int64_t* __restrict__ labels, const T* __restrict__ weights,
                         double* __restrict__ parts, long long rows, long long cols) {
  double sum = 0;
  const long long stride = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long r = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; r < rows; r += stride)
    if (labels[r] >= 0 && labels[r] < cols) sum += static_cast<double>(widen(weights[labels[r]]));
  sum = block_sum(sum);
  if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

/// What the sum of the rows' losses is divided by: their number, nothing, or the sum of their labels'
/// weights.
enum class LossMean { rows, none, weights };

/// *loss = the sum over rows of -sum of q[c] log softmax(x)[c], divided as `mean` says; `gradient` (or null)
/// becomes its gradient. q: see targets.cuh. rows, cols >= 1. `weights` [cols] may be null, unless `mean` is
/// by weights, which needs labels. *status becomes loss_is_fine, the first row whose label is no class, or
/// loss_has_no_weight; *loss is then a NaN.
template <class T, class Targets>
void cross_entropy(const T* x, const Targets& targets, const T* weights, double smoothing, LossMean mean,
                   T* gradient, T* loss, long long* status, long long rows, long long cols,
                   LossWorkspace* workspace, Stream stream) {
  Divisor divisor{mean == LossMean::rows ? static_cast<double>(rows) : 1.0};
  if constexpr (requires { targets.labels; }) {
    if (mean == LossMean::weights) {
      const unsigned blocks = loss_blocks(rows, 256);
      launch(label_weights_kernel<T>, dim3(blocks), dim3(256), 0, stream, targets.labels, weights,
             workspace->weights, rows, cols);
      divisor = {1, workspace->weights, static_cast<int>(blocks)};
    }
  }
  const ClassWeights<T> shares(weights, smoothing, cols);
  const unsigned parts =
      (cols <= longest_tile_row<T> ? cross_entropy_warp<T, Targets>
                                   : cross_entropy_online<T, Targets>)(x, targets, shares, divisor, gradient,
                                                                       workspace->parts, rows, cols, stream);
  finish_loss(workspace->parts, parts, divisor, loss, status, stream);
}

KFER_KERNELS_END
