// Three passes a row by one thread, then the gradient by one thread an element.
//
// The first kernel finds a row's maximum, sum and loss, adds the loss to one number by an atomic and stores
// what the gradient needs; the second reads all logits again. Logits are read four times and uncoalesced in
// the first three.
#pragma once

#include "targets.cuh"

KFER_KERNELS_BEGIN

template <class T, class Targets>
__global__ void cross_entropy_naive_rows_kernel(const T* x, Targets targets, ClassWeights<T> weights,
                                                double divisor, accum_t<T>* log_sums, accum_t<T>* shares,
                                                double* loss, long long rows, long long cols) {
  using A = accum_t<T>;
  const long long stride = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long r = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; r < rows; r += stride) {
    const T* row = x + r * cols;
    A largest = widen(row[0]), sum = A(0), share = A(0), total = A(0);
    for (long long c = 1; c < cols; ++c) largest = widen(row[c]) > largest ? widen(row[c]) : largest;
    for (long long c = 0; c < cols; ++c) sum += std::exp(widen(row[c]) - largest);
    const A log_sum = std::log(sum);
    for (long long c = 0; c < cols; ++c) {
      A t[1];
      targets.load(r, cols, c, t);
      const A q = weights.of(t[0], c);
      share += q;
      total += log_cost(q, widen(row[c]) - largest - log_sum);
    }
    log_sums[r] = largest + log_sum;
    shares[r] = share;
    atomicAdd(loss, static_cast<double>(total) / divisor);
  }
}

template <class T, class Targets>
__global__ void cross_entropy_naive_gradient_kernel(const T* x, Targets targets, ClassWeights<T> weights,
                                                    double divisor, const accum_t<T>* log_sums,
                                                    const accum_t<T>* shares, T* gradient, long long rows,
                                                    long long cols) {
  using A = accum_t<T>;
  const long long stride = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < rows * cols;
       i += stride) {
    const long long r = i / cols, c = i % cols;
    A t[1];
    targets.load(r, cols, c, t);
    gradient[i] = narrow<T>((std::exp(widen(x[i]) - log_sums[r]) * shares[r] - weights.of(t[0], c)) /
                            static_cast<A>(divisor));
  }
}

/// `log_sums` and `shares`: `rows` numbers of room each; *loss must be 0 before. Labels must be classes.
template <class T, class Targets>
void cross_entropy_naive(const T* x, const Targets& targets, const ClassWeights<T>& weights, double divisor,
                         accum_t<T>* log_sums, accum_t<T>* shares, T* gradient, double* loss, long long rows,
                         long long cols, Stream stream) {
  if (rows == 0 || cols == 0) return;
  launch(cross_entropy_naive_rows_kernel<T, Targets>, dim3(grid_blocks(rows, 128)), dim3(128), 0, stream, x,
         targets, weights, divisor, log_sums, shares, loss, rows, cols);
  launch(cross_entropy_naive_gradient_kernel<T, Targets>, dim3(grid_blocks(rows * cols, 256)), dim3(256), 0,
         stream, x, targets, weights, divisor, log_sums, shares, gradient, rows, cols);
}

KFER_KERNELS_END
