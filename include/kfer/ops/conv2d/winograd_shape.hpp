// The shape of a convolution that Winograd's algorithm can do, and the rule that says when, and with which
// tile, it beats a direct convolution.
#pragma once

#include <cstdint>
#include <optional>

#include "kfer/core/simd.hpp"

namespace kfer::winograd {

/// A convolution of stride 1 and dilation 1 with a square kernel, the same padding on all sides.
struct ConvShape {
  std::int64_t batch = 0, in_channels = 0, out_channels = 0, height = 0, width = 0, kernel = 3, padding = 1;

  std::int64_t out_height() const { return height + 2 * padding - kernel + 1; }
  std::int64_t out_width() const { return width + 2 * padding - kernel + 1; }

  /// The convolution, with rotated weights, that takes the gradient of the output to that of the input.
  ConvShape transposed() const {
    return {batch, out_channels, in_channels, out_height(), out_width(), kernel, kernel - 1 - padding};
  }
};

enum class Pass { forward, backward_data, backward_weights };

/// An algorithm F(M x M, R x R): tiles of `outputs` = M, kernels of `kernel` = R, and what its transforms of
/// one tile cost, in multiply-adds a channel and frequency.
struct Tile {
  std::int64_t outputs, kernel, transform_cost;
};
inline constexpr Tile tiles[] = {{2, 3, 13}, {4, 3, 23}, {6, 3, 34}, {2, 5, 13}, {4, 5, 20}};

/// The tile size M with which Winograd convolution does this pass fastest, or nothing if a direct convolution
/// is faster or the shape is not one for Winograd (kernels of 3 or 5, channels in blocks of B).
/// `cached_weights`: weights are transformed beforehand (inference), not in every call (training).
///
/// A rule, not a timing, so it gives the same answer everywhere. It counts multiply-adds: a direct
/// convolution's; or the products', plus the transforms' in units of a multiply-add's time, as measured
/// against oneDNN on AVX-512 (the transforms of a tile by C + K channels, those of the weights by C K).
/// F(6x6,3x3) saves products but its transforms eat that up but for maps of 5, 6, 11 or 12 pixels and wide
/// layers; 2 x 2 maps want F(2x2,3x3), which there does as many products as a direct convolution that skips
/// the padding; most others of ResNets F(4x4,3x3).
template <int B = simd_width>
constexpr std::optional<int> choose_tile(const ConvShape& s, Pass pass, bool cached_weights = false) {
  constexpr std::int64_t weight_cost = 8;
  const ConvShape forward = pass == Pass::backward_data ? s.transposed() : s;
  if (s.in_channels % B != 0 || s.out_channels % B != 0 || s.padding < 0 || s.padding >= s.kernel ||
      forward.out_height() <= 0 || forward.out_width() <= 0 || s.batch <= 0)
    return {};
  const double pairs = static_cast<double>(s.in_channels) * static_cast<double>(s.out_channels);
  double least = pairs * static_cast<double>(s.kernel * s.kernel * s.batch) *
                 static_cast<double>(forward.out_height() * forward.out_width());
  std::optional<int> best;
  for (const Tile& tile : tiles) {
    if (tile.kernel != s.kernel) continue;
    const std::int64_t m = tile.outputs, side = m + tile.kernel - 1;
    const double count = static_cast<double>(s.batch * ((forward.out_height() + m - 1) / m) *
                                             ((forward.out_width() + m - 1) / m));
    const double frequencies = static_cast<double>(side * side);
    const double transforms = static_cast<double>(tile.transform_cost * (s.in_channels + s.out_channels));
    const double weights = cached_weights && pass != Pass::backward_weights ? 0 : weight_cost * pairs;
    const double cost = frequencies * (count * (pairs + transforms) + weights);
    if (cost < least) {
      least = cost;
      best = static_cast<int>(m);
    }
  }
  return best;
}

/// Calls f.template operator()<M, R>() for the tile size and kernel at hand; does nothing for any other.
template <class F>
void with_tile(std::int64_t m, std::int64_t r, const F& f) {
  if (r == 3 && m == 2) f.template operator()<2, 3>();
  if (r == 3 && m == 4) f.template operator()<4, 3>();
  if (r == 3 && m == 6) f.template operator()<6, 3>();
  if (r == 5 && m == 2) f.template operator()<2, 5>();
  if (r == 5 && m == 4) f.template operator()<4, 5>();
}

}  // namespace kfer::winograd
