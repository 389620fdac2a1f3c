// What keeps a bad batch from changing anything, decided on the device: a captured step asks the host
// nothing.
//
// The thread that finishes the norm of the gradients judges the step. What follows reads the verdict from
// device memory: the factor of the gradients, or a NaN, with which the optimisers write nothing and buffers
// get their old values back. From the first step that is refused on, all are, until the host has looked.
#pragma once

#include <cmath>

#include "tensor_table.cuh"

KFER_KERNELS_BEGIN

/// The steps since the host last looked; all zeros then.
struct StepLog {
  static constexpr int capacity = 64;
  int taken;
  int refused;            ///< whether a step was; the first one is number `taken`
  double loss[capacity];  ///< of the first steps that were taken
};

/// Given the sum of the squares of all gradients: whether the step is taken, and by what its gradients are
/// multiplied so that their norm is at most `clip_norm` (0: not clipped).
template <class T>
struct JudgeStep {
  const T* loss;
  double clip_norm;
  StepLog* log;
  double* scale;

  __device__ void operator()(double squares) const {
    const double value = static_cast<double>(*loss), norm = std::sqrt(squares);
    if (log->refused || !(value - value == 0) || !(squares - squares == 0)) {
      log->refused = 1;
      *scale = static_cast<double>(NAN);
      return;
    }
    if (log->taken < StepLog::capacity) log->loss[log->taken] = value;
    ++log->taken;
    *scale = clip_norm > 0 && norm > clip_norm ? clip_norm / norm : 1;
  }
};

template <class T>
struct CopyEntry {
  const T* from;
  T* to;
  long long count;
};

template <class Table>
__global__ void __launch_bounds__(256)
    copy_tensors_kernel(const __grid_constant__ Table table, const double* unless) {
  if (unless && *unless == *unless) return;
  for (int c = static_cast<int>(blockIdx.x); c < table.chunks(); c += static_cast<int>(gridDim.x)) {
    const auto& entry = table.entry[table.owner(c)];
    const Chunk chunk = chunk_of(table, table.owner(c), c);
    for (int i = static_cast<int>(threadIdx.x); i < chunk.count; i += static_cast<int>(blockDim.x))
      entry.to[chunk.begin + i] = entry.from[chunk.begin + i];
  }
}

KFER_KERNELS_END
