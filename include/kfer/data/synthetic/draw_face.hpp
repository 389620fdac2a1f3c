// One face, from back to front, then through the camera: exposure, blur, noise, 8 bits.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kfer/core/error.hpp"
#include "kfer/data/synthetic/paint_eyes.hpp"
#include "kfer/data/synthetic/paint_head.hpp"
#include "kfer/data/synthetic/paint_mouth.hpp"

namespace kfer::data::synthetic {

/// Blurs with a Gaussian of `sigma` pixels, rows then columns; edges repeat.
inline void blur(std::vector<Colour>& pixels, int size, float sigma) {
  if (sigma < 0.2f) return;
  const int radius = std::max(1, static_cast<int>(std::ceil(2.5f * sigma)));
  std::vector<float> taps(static_cast<std::size_t>(2 * radius + 1));
  float sum = 0;
  for (int i = -radius; i <= radius; ++i)
    sum += taps[static_cast<std::size_t>(i + radius)] =
        std::exp(-0.5f * static_cast<float>(i * i) / (sigma * sigma));
  std::vector<Colour> other(pixels.size());
  const auto pass = [&](const std::vector<Colour>& from, std::vector<Colour>& to, int step, int line) {
    for (int j = 0; j < size; ++j)
      for (int i = 0; i < size; ++i) {
        Colour c;
        for (int k = -radius; k <= radius; ++k)
          c = c + (taps[static_cast<std::size_t>(k + radius)] / sum) *
                      from[static_cast<std::size_t>(j * line + std::clamp(i + k, 0, size - 1) * step)];
        to[static_cast<std::size_t>(j * line + i * step)] = c;
      }
  };
  pass(pixels, other, 1, size);
  pass(other, pixels, size, 1);
}

/// Draws a face of `size` x `size` pixels into `out` as height x width x RGB. Throws ShapeError unless `out`
/// holds size * size * 3 bytes.
inline void draw_face(const Appearance& appearance, const Expression& expression, int size,
                      CounterRandom grain, std::span<std::uint8_t> out) {
  require<ShapeError>(
      size > 0 && out.size() == static_cast<std::size_t>(size) * static_cast<std::size_t>(size) * 3,
      "draw_face: a picture of ", size, "x", size, " RGB pixels does not fit a buffer of ", out.size(),
      " bytes");
  const Appearance& a = appearance;
  const Expression& e = expression;
  Pose pose = a.pose;
  pose.roll += 0.26f * e[Action::roll];
  pose.pitch += 0.75f * e[Action::pitch];
  pose.centre.x += 0.03f * e[Action::roll];
  pose.centre.y += 0.02f * e[Action::pitch];
  Canvas canvas(size, pose);
  paint_backdrop(canvas, a);
  paint_back_hair(canvas, a);
  paint_body(canvas, a);
  paint_ears(canvas, a);
  paint_skin(canvas, a, e);
  paint_nose(canvas, a, e);
  paint_mouth(canvas, a, e);
  for (const float side : {-1.f, 1.f}) paint_eye(canvas, a, e, side);
  paint_tears(canvas, a, e);
  paint_hair(canvas, a);
  for (const float side : {-1.f, 1.f}) paint_brow(canvas, a, e, side);
  paint_glasses(canvas, a);
  paint_sweat(canvas, a, e);

  auto& pixels = canvas.pixels();
  blur(pixels, size, a.blur * static_cast<float>(size) / 64);
  const Colour gain = a.exposure * a.tint;
  const auto develop = [&](float v, float noise) {
    const float x = (v - 0.5f) * a.contrast + 0.5f + noise;
    return static_cast<std::uint8_t>(saturate(x) * 255 + 0.5f);
  };
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    const std::uint64_t bits = grain.bits();  // the sum of two uniforms a channel: close enough to normal
    const auto noise = [&](int shift) {
      const float sum =
          static_cast<float>(bits >> shift & 1023) + static_cast<float>(bits >> (shift + 10) & 1023);
      return a.noise * 2.45f * (sum / 1023 - 1);
    };
    const Colour c = gain * pixels[i];
    out[3 * i] = develop(c.r, noise(0));
    out[3 * i + 1] = develop(c.g, noise(20));
    out[3 * i + 2] = develop(c.b, noise(40));
  }
}

}  // namespace kfer::data::synthetic
