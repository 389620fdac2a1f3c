// The pointwise half of an LSTM cell that ships: vectors of hidden units. Formulas in 1_naive.cuh.
#pragma once

#include "../common/specialise.cuh"
#include "2_unit_vectors.cuh"

KFER_KERNELS_BEGIN

/// h, c [batch, hidden] and the activated `gates` [batch, 4 hidden] (i, f, g, o) from the pre-activations p
/// [batch, 4 hidden], bias [4 hidden] (null: none) and c_prev (null: zeros). `gates` may be p itself, or null
/// if there will be no backward pass. S, the type of cell states, is T or accum_t<T>.
template <class T, class S>
void lstm_cell_forward(const T* p, const T* bias, const S* c_prev, T* h, S* c, T* gates, long long batch,
                       long long hidden, Stream stream) {
  with_row_vectors<T>(
      batch, hidden,
      [&](auto width, auto zero, long long groups) {
        using Index = decltype(zero);
        launch(lstm_units<T, S, width, Index>, dim3(grid_blocks(batch * groups, 256)), dim3(256), 0, stream,
               p, bias, c_prev, h, c, gates, Divider<Index>(groups), hidden,
               static_cast<Index>(batch * groups));
      },
      p, bias, c_prev, h, c, gates);
}

/// The gradients dp of the pre-activations and dc_prev of the previous cell state, from those of h and c.
/// c_prev, dh and dc may be null: zeros; dc_prev may be null: not wanted. dp may be `gates` itself, dc_prev
/// `dc`. The gradient of the bias is the sum of the rows of dp.
template <class T, class S>
void lstm_cell_backward(const T* gates, const S* c, const S* c_prev, const T* dh, const S* dc, T* dp,
                        S* dc_prev, long long batch, long long hidden, Stream stream) {
  with_row_vectors<T>(
      batch, hidden,
      [&](auto width, auto zero, long long groups) {
        using Index = decltype(zero);
        launch(lstm_units_backward<T, S, width, Index>, dim3(grid_blocks(batch * groups, 256)), dim3(256), 0,
               stream, gates, c, c_prev, dh, dc, dp, dc_prev, Divider<Index>(groups), hidden,
               static_cast<Index>(batch * groups));
      },
      gates, c, c_prev, dh, dc, dp, dc_prev);
}

KFER_KERNELS_END
