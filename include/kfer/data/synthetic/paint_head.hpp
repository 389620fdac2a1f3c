// The head without its features: backdrop, shoulders, ears, skin with its shading and colouring, hair.
#pragma once

#include "kfer/data/synthetic/appearance.hpp"

namespace kfer::data::synthetic {

inline void paint_backdrop(Canvas& canvas, const Appearance& a) {
  canvas.fill([&](float x, float y) {
    Colour c = mix(a.backdrop_top, a.backdrop_bottom, 0.5f + 0.5f * y);
    for (std::size_t i = 0; i < a.lamps.size(); ++i)
      c = mix(c, {0.95f, 0.88f, 0.76f}, 0.35f * spot({x, y}, a.lamps[i], a.lamp_radii[i], a.lamp_radii[i]));
    return c;
  });
}

/// Strands: brightness of hair over its base colour.
inline float hair_shine(const Appearance& a, Point p) {
  const float strands =
      0.5f + 0.5f * std::sin(26 * p.x + 5 * p.y * p.x + 3 * std::sin(9 * p.x + a.hair_phase));
  const float band = spot(p, {0.25f * a.light.x * 2, -0.72f}, 0.55f, 0.16f);
  return 0.85f + 0.3f * strands * (0.5f + a.light_strength) + 0.9f * band * (0.4f + strands);
}

inline void paint_back_hair(Canvas& canvas, const Appearance& a) {
  canvas.paint({0, 0}, 1.8f, [&](const Place& at) -> Paint {
    const Point p = at.head;
    float d = ellipse(p, {0, -0.24f}, 0.74f * a.hair_volume, 0.78f * a.hair_volume);
    if (a.long_hair) {
      const float fall = std::max(std::abs(p.x) - (0.70f * a.hair_volume + 0.05f * p.y), -0.3f - p.y);
      d = smooth_min(d, fall, 0.15f);
    }
    return {(0.62f * hair_shine(a, p)) * a.hair, canvas.cover(d)};
  });
}

inline void paint_body(Canvas& canvas, const Appearance& a) {
  canvas.paint({0, 1.2f}, 1.6f, [&](const Place& at) -> Paint {
    const Point p = at.head;
    const float neck = std::max(std::abs(p.x) - 0.27f, 0.4f - p.y);
    const float shade = mix(0.55f, 0.8f, smoothstep(0.85f, 1.2f, p.y));
    return {shade * a.skin * Colour{1, 0.92f, 0.88f}, canvas.cover(neck)};
  });
  canvas.paint({0, 1.5f}, 1.6f, [&](const Place& at) -> Paint {
    const Point p = at.head;
    const float shoulders = ellipse(p, {0, 1.85f}, 1.25f, 0.8f);
    const float collar = ellipse(p, {0, 0.95f}, 0.3f, 0.25f);
    return {(0.85f + 0.25f * a.light.x * p.x) * a.cloth, canvas.cover(std::max(shoulders, -collar))};
  });
}

inline void paint_ears(Canvas& canvas, const Appearance& a) {
  for (const float side : {-1.f, 1.f}) {
    const Point centre{side * 0.645f, 0.0f};
    canvas.paint(centre, 0.2f, [&](const Place& at) -> Paint {
      const float inner = spot(at.head, centre + Point{-side * 0.01f, 0.01f}, 0.06f, 0.1f);
      return {(0.86f - 0.3f * inner) * a.skin * Colour{1, 0.9f, 0.87f},
              canvas.cover(ellipse(at.head, centre, 0.085f, 0.155f))};
    });
    if (a.earrings)
      canvas.paint(centre + Point{0, 0.18f}, 0.06f, [&](const Place& at) -> Paint {
        return {{0.95f, 0.9f, 0.7f}, canvas.cover(circle(at.head, centre + Point{0, 0.18f}, 0.03f))};
      });
  }
}

/// The outline of the face: a round skull and a longer jaw, which drops with an open mouth.
inline float face_outline(const Appearance& a, const Expression& e, Point p) {
  const float drop = a.chin + 0.07f * positive(e[Action::open]);
  const float skull = ellipse(p, {0, -0.2f}, 0.635f, 0.66f);
  const float jaw = ellipse(p, {0, 0.2f + 0.5f * drop}, a.jaw, 0.655f + 0.5f * drop);
  return smooth_min(skull, jaw, 0.22f);
}

/// Skin: a lit dome, the soft relief of sockets, nose and folds, and the colouring and lines that emotions
/// bring.
inline void paint_skin(Canvas& canvas, const Appearance& a, const Expression& e) {
  using enum Action;
  const float lz = std::sqrt(std::max(0.05f, 1 - dot(a.light, a.light)));
  const Colour lit = mix({1, 1, 1}, {1.07f, 1.04f, 1.0f}, a.light_strength) * a.skin;
  const Colour shadow = mix(0.86f, 0.52f, a.light_strength) * a.skin * Colour{1, 0.87f, 0.83f};
  const Colour crease = 0.5f * a.skin * Colour{1, 0.75f, 0.7f};
  const float fold =
      saturate(0.12f + 0.3f * a.age + 0.4f * positive(e[smile]) + 0.5f * e[nose_wrinkle] + 0.25f * e[wide]);
  const float raised = positive(0.5f * (e[brow_inner] + e[brow_outer]) - 0.15f);
  const float fold_reach = 0.03f * e[wide];

  canvas.paint({0, 0}, 1.2f, [&](const Place& at) -> Paint {
    const float d = face_outline(a, e, at.head);
    const float alpha = canvas.cover(d);
    if (alpha <= 0) return {{}, 0};
    const Point p = at.face, m{std::abs(p.x), p.y};
    const float nx = at.head.x / 0.72f, ny = at.head.y / 1.02f;
    const float nz = std::sqrt(std::max(0.04f, 1 - nx * nx - ny * ny));
    const float facing = nx * a.light.x + ny * a.light.y + nz * lz;
    Colour c = mix(shadow, lit, smoothstep(-0.1f, 0.95f, facing));

    // Relief.
    float dark = 0.16f * smoothstep(-0.16f, 0, d);
    dark += 0.20f * spot(m, {a.eye_spacing, -0.14f}, 0.24f, 0.14f);
    dark += 0.30f * a.light_strength * spot(p, {-0.1f * (a.light.x > 0 ? 1.f : -1.f), 0.1f}, 0.09f, 0.28f);
    dark += 0.25f * spot(p, {0, 0.29f}, 0.14f, 0.06f);
    dark += (0.18f + 0.3f * positive(e[pout])) * spot(p, {0, 0.66f + 0.1f * e[open]}, 0.17f, 0.06f);
    dark += 0.10f * a.age * spot(m, {a.eye_spacing, 0.05f}, 0.15f, 0.05f);
    c = (1 - dark) * c + 0.10f * spot(m, {0.34f, 0.13f}, 0.16f, 0.12f) * Colour{1, 0.9f, 0.8f};
    c = c + 0.16f * a.light_strength * spot(p, {0.02f, 0.17f}, 0.06f, 0.07f) * Colour{1, 0.95f, 0.9f};
    c = c + 0.08f * spot(p, {0, 0.0f}, 0.05f, 0.25f) * Colour{1, 0.95f, 0.9f};

    // Colouring.
    c = mix(c, Colour{0.95f, 0.36f, 0.36f} * (0.35f * Colour{1, 1, 1} + 0.75f * a.skin),
            0.80f * e[blush] * spot(m, {0.37f, 0.2f}, 0.24f, 0.17f));
    c = mix(c, Colour{0.98f, 0.40f, 0.42f} * (0.35f * Colour{1, 1, 1} + 0.75f * a.skin),
            0.75f * e[nose_blush] * spot({0.7f * p.x, p.y}, {0, 0.1f}, 0.38f, 0.12f));
    c = mix(c, c * Colour{1.12f, 0.66f, 0.60f}, e[flush] * (0.75f + 0.25f * smoothstep(0.2f, -0.6f, p.y)));
    c = mix(c, {0.62f, 0.70f, 0.86f}, 0.62f * e[pallor] * smoothstep(0.05f, -0.55f, p.y));
    c = mix(c, Colour{0.50f, 0.38f, 0.50f} * a.skin,
            0.85f * saturate(e[bags]) * spot(m, {a.eye_spacing, 0.03f}, 0.19f, 0.11f));

    // Lines.
    const auto line = [&](float distance, float strength) {
      c = mix(c, crease, saturate(strength) * canvas.cover(distance));
    };
    line(stroke(m, {0.14f, 0.24f}, {0.27f + fold_reach, 0.44f}, 0.008f, 0.014f), 0.8f * fold);
    if (e[furrow] > 0.05f) line(stroke(m, {0.05f, -0.36f}, {0.04f, -0.2f}, 0.012f, 0.016f), 0.9f * e[furrow]);
    if (e[nose_wrinkle] > 0.05f)
      for (const float y : {-0.1f, -0.03f, 0.04f})
        line(stroke(m, {0, y}, {0.1f, y - 0.045f}, 0.013f, 0.011f), 0.95f * e[nose_wrinkle]);
    if (const float brow = saturate(0.55f * raised + 0.4f * a.age); brow > 0.05f)
      for (const float y : {-0.6f, -0.52f})
        line(stroke(m, {0, y}, {0.24f, y - 0.01f}, 0.009f, 0.006f), 0.7f * brow);
    if (e[squint] > 0.1f) line(stroke(m, {0.46f, -0.07f}, {0.53f, -0.12f}, 0.01f, 0.006f), 0.7f * e[squint]);
    return {c, alpha};
  });
}

/// The hairline: hair lies above this height of head space.
inline float hairline(const Appearance& a, float x) {
  const float s = x * a.parting;
  switch (a.fringe) {
    case Fringe::bangs:
      return -0.47f + 0.2f * x * x + 0.018f * std::sin(22 * x + a.hair_phase);
    case Fringe::curtain:
      return -0.82f + 0.85f * std::pow(std::abs(x - 0.06f * a.parting), 1.3f);
    case Fringe::side_part:
      return s > 0.22f ? -0.80f + 1.1f * (s - 0.22f) : -0.80f + 0.42f * (0.22f - s);
    case Fringe::receding:
      return -0.74f + 0.45f * x * x;
    default:
      return -0.62f + 0.35f * x * x + 0.14f * s + 0.015f * std::sin(16 * x + a.hair_phase);
  }
}

inline void paint_hair(Canvas& canvas, const Appearance& a) {
  canvas.paint({0, -0.1f}, 1.35f, [&](const Place& at) -> Paint {
    const Point p = at.head;
    const float cap = ellipse(p, {0, -0.26f}, 0.72f * a.hair_volume, 0.76f * a.hair_volume);
    float d = std::max(cap, 0.8f * (p.y - hairline(a, p.x)));
    if (a.long_hair) {
      const float inner = 0.60f - 0.05f * smoothstep(0, 0.6f, p.y),
                  outer = 0.74f * a.hair_volume + 0.04f * p.y;
      const float lock = std::max({inner - std::abs(p.x), std::abs(p.x) - outer, -0.45f - p.y});
      d = smooth_min(d, lock, 0.06f);
    } else {
      const float burns = std::max({0.585f - std::abs(p.x), std::abs(p.x) - 0.68f, p.y + 0.08f, -0.5f - p.y});
      d = std::min(d, burns);
    }
    return {hair_shine(a, p) * a.hair, canvas.cover(d)};
  });
  // The fringe's shadow on the forehead.
  canvas.paint({0, -0.45f}, 0.7f, [&](const Place& at) -> Paint {
    const float below = at.head.y - hairline(a, at.head.x);
    const bool inside = below > 0 && std::abs(at.head.x) < 0.6f && at.head.y < 0;
    return {0.4f * a.skin * Colour{1, 0.8f, 0.75f}, inside ? 0.35f * (1 - smoothstep(0, 0.09f, below)) : 0.f};
  });
}

}  // namespace kfer::data::synthetic
