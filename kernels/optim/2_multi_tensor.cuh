// One launch for all tensors: blocks take chunks of 4096 elements, found in the table by bisection.
//
// Every block gets equal work. Still an element a thread and an access: four bytes where the hardware moves
// sixteen.
#pragma once

#include "adam.cuh"
#include "sgd.cuh"
#include "tensor_table.cuh"

KFER_KERNELS_BEGIN

template <class Rule, class Table>
__global__ void __launch_bounds__(256)
    step_multi_tensor_kernel(const __grid_constant__ Table table, typename Rule::Coefficients coefficients,
                             const typename Rule::Coefficients* live, const double* scale) {
  const Current<typename Rule::Coefficients> now{coefficients, live, scale};
  if (now.refused()) return;
  const Rule rule(now);
  for (int c = static_cast<int>(blockIdx.x); c < table.chunks(); c += static_cast<int>(gridDim.x)) {
    const int tensor = table.owner(c);
    const Chunk chunk = chunk_of(table, tensor, c);
    for (int i = static_cast<int>(threadIdx.x); i < chunk.count; i += static_cast<int>(blockDim.x))
      rule.template update<1>(table.entry[tensor], chunk.begin + i);
  }
}

template <class Rule>
void step_multi_tensor(const typename Rule::Entry* entries, long long n,
                       const typename Rule::Coefficients& coefficients,
                       const typename Rule::Coefficients* live, Stream stream,
                       const double* scale = nullptr) {
  with_tensor_tables(entries, n, [&]<class Table>(const Table& table) {
    launch(step_multi_tensor_kernel<Rule, Table>, dim3(grid_blocks(table.chunks(), 1)), dim3(256), 0, stream,
           table, coefficients, live, scale);
  });
}

KFER_KERNELS_END
