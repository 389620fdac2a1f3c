// Nose and mouth.
#pragma once

#include "kfer/data/synthetic/appearance.hpp"

namespace kfer::data::synthetic {

inline void paint_nose(Canvas& canvas, const Appearance& a, const Expression& e) {
  using enum Action;
  const float lift = 0.035f * saturate(e[nose_wrinkle]), flared = saturate(e[flare]);
  const float y = 0.235f - lift, x = 0.055f * a.nose * (1 + 0.25f * flared);
  canvas.paint({0, y}, 0.2f, [&](const Place& at) -> Paint {
    const Point m{std::abs(at.face.x), at.face.y};
    const float nostril = ellipse(m, {x, y}, 0.028f * (1 + 0.5f * flared), 0.016f * (1 + 0.7f * flared));
    const float wing = stroke(m, {x + 0.045f, y - 0.05f}, {x + 0.042f, y + 0.005f}, 0.007f, 0.011f);
    const float alpha = std::max((0.6f + 0.3f * flared) * canvas.cover(nostril), 0.4f * canvas.cover(wing));
    return {0.32f * a.skin * Colour{1, 0.62f, 0.58f}, alpha};
  });
}

/// The mouth as curves over t in [-1, 1], corner to corner.
struct MouthShape {
  Point centre;
  float half_width, rise, smirk, tremble, up, down, square;
  float upper_lip, lower_lip;

  float along(float x) const { return (x - centre.x) / half_width; }
  float profile(float t) const {
    const float s = 1 - t * t;
    return positive(mix(s, 1 - t * t * t * t, square));
  }
  /// Where the lips meet, or would.
  float seam(float t) const {
    return centre.y + rise * (0.35f - t * t) - smirk * t + tremble * std::sin(8.5f * t);
  }
  float inner_top(float t) const { return seam(t) - up * profile(t); }
  float inner_bottom(float t) const { return seam(t) + down * profile(t); }
  float outer_top(float t) const {
    const float bow = 1 - 0.35f * positive(1 - 16 * t * t);
    return inner_top(t) - upper_lip * bow * std::sqrt(positive(1 - t * t));
  }
  float outer_bottom(float t) const {
    return inner_bottom(t) + lower_lip * std::sqrt(positive(1 - t * t)) * (0.6f + 0.4f * (1 - t * t));
  }
};

inline MouthShape mouth_shape(const Appearance& a, const Expression& e) {
  using enum Action;
  const float pressed = positive(-e[pout]), pushed = positive(e[pout]), gape = positive(e[open]);
  const float clenched = saturate(e[clench]), purse = positive(-e[wide]);
  MouthShape m;
  m.half_width = 0.205f * a.mouth_width * std::clamp(1 + 0.38f * e[wide] + 0.1f * e[smile], 0.55f, 1.6f);
  m.rise = 0.125f * e[smile];
  m.smirk = 0.07f * e[smirk];
  m.tremble = 0.022f * e[tremble];
  m.up = 0.03f * gape + 0.05f * clenched + 0.012f * saturate(e[nose_wrinkle]);
  m.down = 0.20f * gape + 0.045f * clenched;
  m.square = std::max(0.8f * clenched, 0.3f * gape);
  m.upper_lip = 0.042f * a.lip * (1 - 0.75f * pressed) * (1 + 0.3f * purse) * (1 - 0.3f * gape);
  m.lower_lip =
      0.055f * a.lip * (1 - 0.75f * pressed) * (1 + 0.9f * pushed + 0.25f * purse) * (1 - 0.25f * gape);
  m.centre = {0, 0.475f - 0.03f * pushed - 0.02f * saturate(e[nose_wrinkle])};
  return m;
}

inline void paint_mouth(Canvas& canvas, const Appearance& a, const Expression& e) {
  using enum Action;
  const MouthShape mouth = mouth_shape(a, e);
  const float clenched = saturate(e[clench]), bitten = saturate(e[bite]);
  const float depth = mouth.up + mouth.down;
  const Point middle{0, mouth.centre.y + 0.4f * mouth.down};
  const float reach = mouth.half_width + 0.06f + 0.5f * depth;

  canvas.paint(middle, reach, [&](const Place& at) -> Paint {  // lips
    const Point p = at.face;
    const float t = mouth.along(p.x);
    if (std::abs(t) >= 1) return {{}, 0};
    const float d = std::max(mouth.outer_top(t) - p.y, p.y - mouth.outer_bottom(t)) * 0.9f;
    const bool upper = p.y < mouth.seam(t);
    const float gloss =
        spot(p, {0.03f * a.light.x, mouth.inner_bottom(0) + 0.5f * mouth.lower_lip}, 0.11f, 0.03f);
    return {(upper ? 0.86f : 1.0f) * a.lips + 0.25f * gloss * Colour{1, 0.9f, 0.9f}, 0.9f * canvas.cover(d)};
  });
  if (depth > 0.01f)
    canvas.paint(middle, reach, [&](const Place& at) -> Paint {  // between them
      const Point p = at.face;
      const float t = mouth.along(p.x);
      if (std::abs(t) >= 1) return {{}, 0};
      const float top = mouth.inner_top(t), bottom = mouth.inner_bottom(t);
      const float alpha = canvas.cover(std::max(top - p.y, p.y - bottom) * 0.9f);
      if (alpha <= 0) return {{}, 0};
      Colour c{0.25f, 0.07f, 0.08f};
      c = mix(c, {0.78f, 0.36f, 0.37f},
              0.85f * canvas.cover(ellipse(p, {0, mouth.inner_bottom(0) + 0.02f}, 0.62f * mouth.half_width,
                                           0.45f * std::max(mouth.down, 0.04f))));
      const Colour enamel{0.96f, 0.95f, 0.92f};
      const float show = mix(0.3f * mouth.down * saturate(0.4f + e[smile] + e[wide]), 1.0f, clenched);
      c = mix(c, (1 - 0.25f * t * t) * enamel, canvas.cover(p.y - top - show));
      if (clenched > 0.1f) {
        const float gap = std::abs(p.y - 0.5f * (top + bottom)) - 0.006f;
        const float teeth = std::abs(std::remainder(p.x, 0.075f)) - 0.003f;
        c = mix(c, {0.35f, 0.2f, 0.2f}, clenched * std::max(canvas.cover(gap), 0.5f * canvas.cover(teeth)));
      }
      return {c, alpha};
    });
  canvas.paint(middle, reach, [&](const Place& at) -> Paint {  // seam, corners, bitten lip
    const Point p = at.face;
    const float t = mouth.along(p.x), tc = std::clamp(t, -1.f, 1.f);
    const float closed = 1 - saturate(depth / 0.06f);
    const Point on{mouth.centre.x + mouth.half_width * tc, mouth.seam(tc)};
    const float slope = (mouth.seam(tc + 0.05f) - mouth.seam(tc - 0.05f)) / (0.1f * mouth.half_width);
    const float d = std::abs(t) < 1 ? std::abs(p.y - on.y) / std::sqrt(1 + slope * slope) : length(p - on);
    float alpha = closed * canvas.cover(d - 0.012f);
    for (const float side : {-1.f, 1.f})
      alpha = std::max(
          alpha, 0.8f * canvas.cover(
                            circle(p, {mouth.centre.x + side * mouth.half_width, mouth.seam(side)}, 0.016f)));
    Colour c = 0.36f * a.lips * Colour{1, 0.6f, 0.6f};
    if (bitten > 0.05f) {
      const float teeth =
          std::max(std::abs(p.x + 0.045f) - 0.085f, std::abs(p.y - mouth.seam(tc) - 0.028f) - 0.028f);
      const float cover = bitten * canvas.cover(teeth);
      c = mix(c, {0.97f, 0.96f, 0.93f}, cover);
      alpha = std::max(alpha, cover);
    }
    return {c, 0.95f * alpha};
  });
}

}  // namespace kfer::data::synthetic
