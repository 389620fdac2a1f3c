// The optimisers that ship: 3_vectorised, and what gradients go through before a step.
#pragma once

#include "3_vectorised.cuh"
#include "gradients.cuh"

KFER_KERNELS_BEGIN

/// One step of Adam over `n` tensors: see adam.cuh. `live` (device memory, or null) holds the coefficients in
/// place of `coefficients`: a captured graph finds the step's own numbers there in every replay.
template <class T, class G>
void adam_step(const typename AdamRule<T, G>::Entry* entries, long long n,
               const AdamCoefficients& coefficients, const AdamCoefficients* live, Stream stream) {
  step_vectorised<AdamRule<T, G>>(entries, n, coefficients, live, stream);
}

/// One step of stochastic gradient descent over `n` tensors: see sgd.cuh.
template <class T, class G>
void sgd_step(const typename SgdRule<T, G>::Entry* entries, long long n, const SgdCoefficients& coefficients,
              const SgdCoefficients* live, Stream stream) {
  step_vectorised<SgdRule<T, G>>(entries, n, coefficients, live, stream);
}

/// *sum = the sum of (scale x)^2 over all elements of `n` tensors, in double and with the same bits in every
/// run; *finite (may be null) = 1 if that is a finite number, as it is exactly if no element is infinite or
/// NaN (T of at most 32 bits). `parts`: most_square_parts numbers of room.
template <class T>
void sum_of_squares(const Span<T>* tensors, long long n, double scale, double* parts, double* sum,
                    int* finite, Stream stream) {
  long long chunks = 0;
  for (long long i = 0; i < n; ++i) chunks += div_up(tensors[i].count, chunk_elements);
  unsigned blocks = 0;
  with_tensor_tables(tensors, n, [&]<class Table>(const Table& table) {
    const bool first = blocks == 0;
    if (first) blocks = std::min(grid_blocks(chunks, 1, 8, 1), most_square_parts);
    launch(sum_of_squares_kernel<T, Table>, dim3(blocks), dim3(256), 0, stream, table, parts, first);
  });
  launch(finish_sum_of_squares_kernel<>, dim3(1), dim3(256), 0, stream, parts, static_cast<int>(blocks),
         scale, sum, finite);
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
