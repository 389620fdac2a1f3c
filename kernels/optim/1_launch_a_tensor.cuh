// A launch for every tensor, an element a thread.
//
// The bytes are the floor's, yet most tensors of a network are small: of ResNet50's 161 more than half have
// at most 2,048 elements, for which starting the kernel takes longer than its work, and too few threads run
// to keep memory busy.
#pragma once

#include "../common/grid.cuh"
#include "adam.cuh"
#include "sgd.cuh"

KFER_KERNELS_BEGIN

template <class Rule>
__global__ void __launch_bounds__(256)
    step_one_tensor_kernel(typename Rule::Entry entry, typename Rule::Coefficients coefficients,
                           const typename Rule::Coefficients* live, const double* scale) {
  const Current<typename Rule::Coefficients> now{coefficients, live, scale};
  if (now.refused()) return;
  const Rule rule(now);
  const long long stride = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < entry.count;
       i += stride)
    rule.template update<1>(entry, i);
}

template <class Rule>
void step_launch_a_tensor(const typename Rule::Entry* entries, long long n,
                          const typename Rule::Coefficients& coefficients,
                          const typename Rule::Coefficients* live, Stream stream,
                          const double* scale = nullptr) {
  for (long long i = 0; i < n; ++i)
    if (entries[i].count)
      launch(step_one_tensor_kernel<Rule>, dim3(grid_blocks(entries[i].count, 256)), dim3(256), 0, stream,
             entries[i], coefficients, live, scale);
}

KFER_KERNELS_END
