// Points, colours and signed distances: the geometry that the synthetic faces are drawn with. Distances are
// in face units (half a face height is about 1), negative inside.
#pragma once

#include <algorithm>
#include <cmath>

namespace kfer::data::synthetic {

struct Point {
  float x = 0, y = 0;
  friend constexpr Point operator+(Point a, Point b) { return {a.x + b.x, a.y + b.y}; }
  friend constexpr Point operator-(Point a, Point b) { return {a.x - b.x, a.y - b.y}; }
  friend constexpr Point operator*(float s, Point a) { return {s * a.x, s * a.y}; }
};

constexpr float dot(Point a, Point b) {
  return a.x * b.x + a.y * b.y;
}
inline float length(Point a) {
  return std::sqrt(dot(a, a));
}

/// Display-referred RGB in [0, 1]; sums may leave the interval until the picture is finished.
struct Colour {
  float r = 0, g = 0, b = 0;
  friend constexpr Colour operator+(Colour a, Colour b) { return {a.r + b.r, a.g + b.g, a.b + b.b}; }
  friend constexpr Colour operator*(Colour a, Colour b) { return {a.r * b.r, a.g * b.g, a.b * b.b}; }
  friend constexpr Colour operator*(float s, Colour a) { return {s * a.r, s * a.g, s * a.b}; }
};

constexpr float mix(float a, float b, float t) {
  return a + (b - a) * t;
}
constexpr Colour mix(Colour a, Colour b, float t) {
  return {mix(a.r, b.r, t), mix(a.g, b.g, t), mix(a.b, b.b, t)};
}
constexpr Point mix(Point a, Point b, float t) {
  return {mix(a.x, b.x, t), mix(a.y, b.y, t)};
}
constexpr float saturate(float x) {
  return std::clamp(x, 0.f, 1.f);
}
constexpr float positive(float x) {
  return x > 0 ? x : 0.f;
}

/// 0 below `low`, 1 above `high`, the cubic 3t^2 - 2t^3 between.
constexpr float smoothstep(float low, float high, float x) {
  const float t = saturate((x - low) / (high - low));
  return t * t * (3 - 2 * t);
}

/// Minimum of two distances with the corner between them rounded over a width `k`.
constexpr float smooth_min(float a, float b, float k) {
  const float h = saturate(0.5f + 0.5f * (b - a) / k);
  return mix(b, a, h) - k * h * (1 - h);
}

inline float circle(Point p, Point centre, float radius) {
  return length(p - centre) - radius;
}

/// Distance to an ellipse to first order, exact on its outline.
inline float ellipse(Point p, Point centre, float rx, float ry) {
  const Point q = p - centre;
  const float k0 = length({q.x / rx, q.y / ry}), k1 = length({q.x / (rx * rx), q.y / (ry * ry)});
  return k1 > 1e-6f ? k0 * (k0 - 1) / k1 : -std::min(rx, ry);
}

/// A stroke from a to b whose half width runs from `ra` to `rb`.
inline float stroke(Point p, Point a, Point b, float ra, float rb) {
  const Point pa = p - a, ba = b - a;
  const float t = saturate(dot(pa, ba) / std::max(dot(ba, ba), 1e-8f));
  return length(pa - t * ba) - mix(ra, rb, t);
}

/// A soft spot: 1 in the centre, 0 from the ellipse outwards.
constexpr float spot(Point p, Point centre, float rx, float ry) {
  const Point q = p - centre;
  const float t = 1 - q.x * q.x / (rx * rx) - q.y * q.y / (ry * ry);
  return t > 0 ? t * t : 0.f;
}

}  // namespace kfer::data::synthetic
