// The matrix products of Winograd convolution: register-tiled kernels over operands that the transforms have
// left in channel blocks of B, so that nothing is packed.
//
//   activations  V[channel block][tile][B]     outputs  D[channel block][tile][B]     one such matrix a
//   frequency weights      U[channel][columns]           columns: one or two output channel blocks side by
//   side (a panel)
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "kfer/core/simd.hpp"
#include "kfer/ops/conv2d/winograd_transforms.hpp"

namespace kfer::winograd {

/// Register tiles for channel blocks of B, from the machine's register file (32 of 16 floats, or 16 of 8).
template <int B>
struct RegisterTile {
  static constexpr bool wide = simd_width == 16;
  /// `multiply`: tiles by channel blocks. Accumulators, one row of weights and a broadcast fill the register
  /// file.
  static constexpr int tiles = wide ? 14 : 6, panel = B > simd_width ? 1 : 2;
  /// `accumulate`: input channels by output channel blocks.
  static constexpr int channels = wide ? 8 : 4, blocks = B > simd_width ? 1 : 3;
};

/// Calls f(integral_constant<int, n>) for a run-time n of 1 to Max.
template <int Max, class F>
[[gnu::always_inline]] inline void with_constant(std::int64_t n, const F& f) {
  [&]<int... I>(std::integer_sequence<int, I...>) {
    static_cast<void>(((n == I + 1 && (f(std::integral_constant<int, I + 1>{}), true)) || ...));
  }
  (std::make_integer_sequence<int, Max>{});
}

/// Cuts [0, n) into the fewest parts of at most `most`, of equal size but for one, and calls f(begin, size).
template <class F>
[[gnu::always_inline]] inline void equal_parts(std::int64_t n, std::int64_t most, const F& f) {
  const std::int64_t parts = (n + most - 1) / most;
  for (std::int64_t p = 0; p < parts; ++p) {
    const std::int64_t begin = n * p / parts;
    f(begin, n * (p + 1) / parts - begin);
  }
}

namespace detail {

/// d[j][i][:] (+)= sum over channels c of v[c][i] * u[c][j][:], for Rows tiles i and Columns channel blocks
/// j. What is there comes first: channels may be given in parts without a change in any bit.
template <int B, int Rows, int Columns>
[[gnu::noinline, gnu::flatten]] void multiply_strip(std::int64_t channel_blocks, const float* v,
                                                    std::int64_t v_stride, const float* u, float* d,
                                                    std::int64_t d_stride, bool add) {
  using V = simd_f32<B>;
  V sum[Rows][Columns] = {};
  if (add)
    unrolled<Columns>(
        [&](auto j) { unrolled<Rows>([&](auto i) { sum[i][j] = simd_load<B>(d + j * d_stride + i * B); }); });
  for (std::int64_t block = 0; block < channel_blocks; ++block, v += v_stride)
    for (int c = 0; c < B; ++c, u += Columns * B) {
      V row[Columns];
      unrolled<Columns>([&](auto j) { row[j] = simd_load<B>(u + j * B); });
      unrolled<Rows>([&](auto i) {
        const float a = v[i * B + c];
        unrolled<Columns>([&](auto j) { sum[i][j] += a * row[j]; });
      });
    }
  unrolled<Columns>(
      [&](auto j) { unrolled<Rows>([&](auto i) { simd_store<B>(d + j * d_stride + i * B, sum[i][j]); }); });
}

/// sums[j][i][:] (+)= sum over tiles t of v[t][i] * d[j][t][:], for Rows channels i and Columns channel
/// blocks j. What is there is added last: short sums of short sums lose less than one long sum.
template <int B, int Rows, int Columns>
[[gnu::noinline, gnu::flatten]] void accumulate_strip(std::int64_t tiles, const float* v, const float* d,
                                                      std::int64_t d_stride, float* sums, bool add) {
  using V = simd_f32<B>;
  V sum[Rows][Columns] = {};
  for (std::int64_t t = 0; t < tiles; ++t, v += B, d += B) {
    V row[Columns];
    unrolled<Columns>([&](auto j) { row[j] = simd_load<B>(d + j * d_stride); });
    unrolled<Rows>([&](auto i) {
      const float a = v[i];
      unrolled<Columns>([&](auto j) { sum[i][j] += a * row[j]; });
    });
  }
  unrolled<Columns>([&](auto j) {
    unrolled<Rows>([&](auto i) {
      float* const to = sums + (j * B + i) * B;
      simd_store<B>(to, add ? simd_load<B>(to) + sum[i][j] : sum[i][j]);
    });
  });
}

}  // namespace detail

/// One frequency, one panel of `columns` output channel blocks:
///   d[j][t][B] (+)= sum over c of v[c / B][t][c % B] * u[c][j][B]
/// The order of every sum is the channels', whatever the blocking.
template <int B>
void multiply(std::int64_t tiles, std::int64_t channel_blocks, std::int64_t columns, const float* v,
              std::int64_t v_stride, const float* u, float* d, std::int64_t d_stride, bool add) {
  equal_parts(tiles, RegisterTile<B>::tiles, [&](std::int64_t t, std::int64_t rows) {
    with_constant<RegisterTile<B>::panel>(columns, [&](auto n) {
      with_constant<RegisterTile<B>::tiles>(rows, [&](auto m) {
        detail::multiply_strip<B, m, n>(channel_blocks, v + t * B, v_stride, u, d + t * B, d_stride, add);
      });
    });
  });
}

/// One frequency, one input channel block, `columns` (at most RegisterTile::blocks) output channel blocks:
///   sums[j][c][B] (+)= sum over tiles t of v[t][c] * d[j][t][B]
template <int B>
void accumulate(std::int64_t tiles, std::int64_t columns, const float* v, const float* d,
                std::int64_t d_stride, float* sums, bool add) {
  constexpr int rows = RegisterTile<B>::channels;
  with_constant<RegisterTile<B>::blocks>(columns, [&](auto n) {
    for (int c = 0; c < B; c += rows)
      detail::accumulate_strip<B, rows, n>(tiles, v + c, d, d_stride, sums + c * B, add);
  });
}

}  // namespace kfer::winograd
