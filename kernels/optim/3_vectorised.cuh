// One launch for all tensors, 16 bytes an access.
//
// A thread has the loads of weight, gradient and moments of four floats in flight at once. Tensors that do
// not start at multiples of 16 bytes, and the ends of those whose size is not a multiple of four, go element
// by element.
#pragma once

#include "adam.cuh"
#include "sgd.cuh"
#include "tensor_table.cuh"

KFER_KERNELS_BEGIN

template <class Rule, class Table>
__global__ void __launch_bounds__(256)
    step_vectorised_kernel(const __grid_constant__ Table table, typename Rule::Coefficients coefficients,
                           const typename Rule::Coefficients* live, const double* scale) {
  constexpr int N = Rule::width;
  const Current<typename Rule::Coefficients> now{coefficients, live, scale};
  if (now.refused()) return;
  const Rule rule(now);
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  for (int c = static_cast<int>(blockIdx.x); c < table.chunks(); c += static_cast<int>(gridDim.x)) {
    const int tensor = table.owner(c);
    const auto& entry = table.entry[tensor];
    const Chunk chunk = chunk_of(table, tensor, c);
    const int vectors = has_vectors(entry) ? chunk.count / N : 0;
    for (int i = thread; i < vectors; i += threads) rule.template update<N>(entry, chunk.begin + i * N);
    for (int i = vectors * N + thread; i < chunk.count; i += threads)
      rule.template update<1>(entry, chunk.begin + i);
  }
}

template <class Rule>
void step_vectorised(const typename Rule::Entry* entries, long long n,
                     const typename Rule::Coefficients& coefficients, const typename Rule::Coefficients* live,
                     Stream stream, const double* scale = nullptr) {
  with_tensor_tables(entries, n, [&]<class Table>(const Table& table) {
    launch(step_vectorised_kernel<Rule, Table>, dim3(grid_blocks(table.chunks(), 1)), dim3(256), 0, stream,
           table, coefficients, live, scale);
  });
}

KFER_KERNELS_END
