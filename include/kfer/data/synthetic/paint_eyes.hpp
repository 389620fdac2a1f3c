// Eyes, brows, glasses, and the tears and sweat near them.
#pragma once

#include "kfer/data/synthetic/appearance.hpp"

namespace kfer::data::synthetic {

/// The opening of one eye: two parabolas between shared corners. A lower lid above the rest position makes
/// the arcs of a laughing eye; an upper lid below it, the arcs of a closed one.
struct EyeShape {
  Point centre;
  float side, half_width, upper, lower, slant;

  float along(float x) const { return (x - centre.x) / half_width; }
  float axis(float t) const { return centre.y - slant * t * side; }
  float upper_lid(float t) const { return axis(t) - upper * positive(1 - t * t); }
  float lower_lid(float t) const { return axis(t) + lower * positive(1 - t * t); }

  /// Distance to the arc `height * (1 - t^2)` above the axis, for strokes along the lids.
  float arc(Point p, float height) const {
    const float t = std::clamp(along(p.x), -1.f, 1.f);
    const float slope = (2 * height * t - slant * side) / half_width;
    const float dy = (p.y - (axis(t) - height * (1 - t * t))) / std::sqrt(1 + slope * slope);
    return length({p.x - (centre.x + half_width * t), std::abs(t) < 1 ? dy : dy});
  }
  float opening(Point p) const {
    const float t = along(p.x);
    if (std::abs(t) >= 1) return 1;
    return std::max(upper_lid(t) - p.y, p.y - lower_lid(t)) * 0.85f;
  }
};

inline EyeShape eye_shape(const Appearance& a, const Expression& e, float side) {
  const float lid = e[Action::lid], squint = saturate(e[Action::squint]);
  const float upper = lid >= 0 ? 0.088f * (1 + 0.75f * lid) : mix(0.088f, -0.045f, std::min(1.f, -lid));
  return {{side * a.eye_spacing, -0.1f},
          side,
          0.155f * (1 + 0.06f * lid),
          a.eye_size * std::max(upper, -0.05f),
          a.eye_size * mix(0.058f + 0.02f * positive(lid), -0.06f, squint),
          a.eye_slant};
}

inline void paint_eye(Canvas& canvas, const Appearance& a, const Expression& e, float side) {
  using enum Action;
  const EyeShape eye = eye_shape(a, e, side);
  const float glow = saturate(e[sparkle]);
  const float reach = std::max(0.f, std::min(eye.upper, eye.upper + eye.lower));
  const Point look = eye.centre + Point{0.062f * std::clamp(e[gaze_x], -1.1f, 1.1f),
                                        0.035f * std::clamp(e[gaze_y], -1.1f, 1.1f) - 0.25f * reach + 0.012f};
  const float iris_radius = 0.082f * a.eye_size * (1 + 0.1f * glow);
  const Point gleam{0.03f * (a.light.x > 0 ? 1.f : -1.f), -0.032f};

  canvas.paint(eye.centre, 0.24f, [&](const Place& at) -> Paint {
    const Point p = at.face;
    const float alpha = canvas.cover(eye.opening(p));
    if (alpha <= 0) return {{}, 0};
    const float t = eye.along(p.x);
    Colour c = Colour{0.97f, 0.96f, 0.95f} * mix({1, 1, 1}, a.tint, 0.5f);
    const float iris = circle(p, look, iris_radius);
    const float ring = saturate(-iris / iris_radius);
    c = mix(c, mix(0.5f * a.iris, 1.6f * a.iris, ring * smoothstep(-0.05f, 0.06f, p.y - look.y)),
            canvas.cover(iris));
    c = mix(c, {0.03f, 0.02f, 0.02f}, canvas.cover(circle(p, look, 0.042f * a.eye_size)));
    c = (1 - 0.35f * smoothstep(0.06f, 0, p.y - eye.upper_lid(t))) * c;  // the lid's shadow
    c = mix(c, {0.80f, 0.92f, 1.f}, 0.75f * glow * smoothstep(0.05f, 0.0f, eye.lower_lid(t) - p.y));
    c = mix(c, {1, 1, 1}, 0.95f * canvas.cover(circle(p, look + gleam, 0.022f + 0.016f * glow)));
    c = mix(c, {1, 1, 1}, 0.9f * glow * canvas.cover(circle(p, look - 0.9f * gleam, 0.022f)));
    return {c, alpha};
  });
  // Lids.
  const Colour ink = mix(Colour{0.10f, 0.06f, 0.05f}, a.skin, 0.08f);
  const float weight = a.lashes ? 0.021f : 0.016f;
  canvas.paint(eye.centre, 0.26f, [&](const Place& at) -> Paint {
    const Point p = at.face;
    float alpha = 0.92f * canvas.cover(eye.arc(p, eye.upper) - weight);
    if (a.lashes) {
      const Point corner{eye.centre.x + side * eye.half_width, eye.axis(side)};
      alpha = std::max(alpha, 0.85f * canvas.cover(stroke(p, corner, corner + Point{side * 0.05f, -0.035f},
                                                          0.016f, 0.005f)));
    }
    return {ink, alpha};
  });
  canvas.paint(eye.centre, 0.26f, [&](const Place& at) -> Paint {
    const float lower =
        canvas.cover(eye.arc(at.face, -eye.lower) - 0.008f) * (0.45f + 0.4f * saturate(e[squint]));
    const float fold = a.crease && eye.upper > 0
                           ? 0.4f * canvas.cover(eye.arc(at.face + Point{0, 0.045f}, eye.upper) - 0.007f)
                           : 0.f;
    return {0.42f * a.skin * Colour{1, 0.75f, 0.7f}, std::max(lower, fold)};
  });
}

inline void paint_brow(Canvas& canvas, const Appearance& a, const Expression& e, float side) {
  using enum Action;
  const float skew = 0.09f * e[brow_skew] * side;
  const float base = -0.315f - 0.02f * positive(e[lid]);
  const Point inner{side * (0.125f - 0.03f * saturate(e[furrow])), base - 0.125f * e[brow_inner] - skew};
  const Point outer{side * 0.445f, base + 0.01f - 0.085f * e[brow_outer] - skew};
  const float arch = 0.035f * (1 - 0.6f * saturate(std::abs(e[brow_inner] - e[brow_outer])));
  const Point middle = mix(inner, outer, 0.55f) - Point{0, arch};
  const Colour colour = mix(a.hair, a.skin, 0.12f);
  const float weight = 0.032f * a.brow_weight;
  canvas.paint(middle, 0.28f, [&](const Place& at) -> Paint {
    const float d = std::min(stroke(at.face, inner, middle, 0.85f * weight, weight),
                             stroke(at.face, middle, outer, weight, 0.3f * weight));
    return {colour, 0.92f * canvas.cover(d)};
  });
}

inline void paint_glasses(Canvas& canvas, const Appearance& a) {
  if (!a.glasses) return;
  canvas.paint({0, -0.08f}, 0.72f, [&](const Place& at) -> Paint {
    const Point p = at.face, m{std::abs(p.x), p.y};
    const float lens = ellipse(m, {a.eye_spacing, -0.08f}, 0.2f, 0.175f);
    const float bridge = stroke(m, {0, -0.12f}, {a.eye_spacing - 0.19f, -0.11f}, 0.014f, 0.014f);
    const float temple = stroke(m, {a.eye_spacing + 0.19f, -0.13f}, {0.66f, -0.16f}, 0.014f, 0.012f);
    const float frame = std::min({std::abs(lens) - 0.015f, bridge, temple});
    const float edge = canvas.cover(frame);
    const float shine =
        0.10f * canvas.cover(lens) * smoothstep(0.02f, -0.1f, p.x + p.y - std::floor(p.x) * 0.1f);
    return edge > 0 ? Paint{a.glasses_colour, 0.9f * edge} : Paint{{0.9f, 0.95f, 1}, shine};
  });
}

inline void paint_tears(Canvas& canvas, const Appearance& a, const Expression& e) {
  const float tears = saturate(e[Action::tears]);
  if (tears < 0.05f) return;
  for (const float side : {-1.f, 1.f}) {
    const EyeShape eye = eye_shape(a, e, side);
    const Point top{side * (a.eye_spacing + 0.02f), eye.centre.y + std::max(eye.lower, 0.f)};
    const Point bend = top + Point{side * 0.02f, 0.2f * tears},
                end = top + Point{side * 0.015f, 0.08f + 0.36f * tears};
    canvas.paint(mix(top, end, 0.5f), 0.34f, [&](const Place& at) -> Paint {
      const Point p = at.face;
      const float path = std::min(stroke(p, top, bend, 0.022f, 0.026f), stroke(p, bend, end, 0.024f, 0.040f));
      const float pool = std::max(eye.arc(p, -eye.lower) - 0.02f, -0.5f);
      const float core = smoothstep(0, -0.03f, path);
      const float alpha = std::max(0.85f * canvas.cover(path), 0.5f * canvas.cover(pool));
      return {mix(Colour{0.56f, 0.76f, 0.95f}, {0.96f, 0.99f, 1.f}, core), tears * alpha};
    });
  }
}

inline void paint_sweat(Canvas& canvas, const Appearance& a, const Expression& e) {
  const float sweat = saturate(e[Action::sweat]);
  if (sweat < 0.05f) return;
  const Point drop{0.47f * a.parting, -0.36f};
  canvas.paint(drop, 0.24f, [&](const Place& at) -> Paint {
    const Point p = at.face;
    const float d = smooth_min(circle(p, drop + Point{0, 0.05f}, 0.068f),
                               stroke(p, drop + Point{0, -0.13f}, drop, 0.004f, 0.04f), 0.03f);
    const float gleam = canvas.cover(circle(p, drop + Point{-0.022f, 0.045f}, 0.02f));
    const Colour body = mix(Colour{0.35f, 0.60f, 0.88f}, {0.72f, 0.88f, 1.f}, smoothstep(0, -0.04f, d));
    return {mix(body, {1, 1, 1}, gleam), 0.95f * sweat * canvas.cover(d)};
  });
}

}  // namespace kfer::data::synthetic
