// A small picture that shapes are painted on, back to front, with anti-aliased edges; and the pose that maps
// pixels to the two spaces that a face is drawn in.
#pragma once

#include <cstdint>
#include <vector>

#include "kfer/data/synthetic/sdf.hpp"

namespace kfer::data::synthetic {

/// Where the head is in the picture, and how it is turned.
struct Pose {
  Point centre{0.5f, 0.52f};  ///< of the face, in parts of the picture
  float scale = 0.44f;        ///< one face unit, in parts of the picture
  float roll = 0;             ///< radians, positive leans to the picture's right
  float yaw = 0, pitch = 0;   ///< [-1, 1]: how far the features wander right and down over the head
};

/// A pixel's place in head space (upright, not turned: outline, hair, ears), and in face space, where eyes,
/// nose and mouth have fixed places: a turned head moves its features by parallax, most in the middle.
struct Place {
  Point head, face;
};

/// What a shape contributes to a pixel.
struct Paint {
  Colour colour;
  float alpha = 1;
};

class Canvas {
 public:
  Canvas(int size, const Pose& pose)
      : size_(size),
        pose_(pose),
        cos_(std::cos(pose.roll)),
        sin_(std::sin(pose.roll)),
        unit_(pose.scale * static_cast<float>(size)),
        pixels_(static_cast<std::size_t>(size) * static_cast<std::size_t>(size)),
        places_(pixels_.size()) {
    for (int y = 0, i = 0; y < size; ++y)
      for (int x = 0; x < size; ++x, ++i) {
        const Point d{(static_cast<float>(x) + 0.5f - pose.centre.x * static_cast<float>(size)) / unit_,
                      (static_cast<float>(y) + 0.5f - pose.centre.y * static_cast<float>(size)) / unit_};
        const Point head{cos_ * d.x + sin_ * d.y, cos_ * d.y - sin_ * d.x};
        places_[static_cast<std::size_t>(i)] = {head, head - parallax(head)};
      }
  }

  int size() const { return size_; }
  std::vector<Colour>& pixels() { return pixels_; }

  /// The part of a pixel that a shape at signed distance `d` covers.
  float cover(float d) const { return saturate(0.5f - d * unit_); }

  /// Paints every pixel: `shader(x, y)` with coordinates in [-1, 1], y down.
  template <class Shader>
  void fill(const Shader& shader) {
    const float step = 2.f / static_cast<float>(size_);
    for (int y = 0, i = 0; y < size_; ++y)
      for (int x = 0; x < size_; ++x, ++i)
        pixels_[static_cast<std::size_t>(i)] =
            shader((static_cast<float>(x) + 0.5f) * step - 1, (static_cast<float>(y) + 0.5f) * step - 1);
  }

  /// Blends `shader(place)`, a Paint, over the pixels within `radius` (and a margin for the turned head) of
  /// `centre`.
  template <class Shader>
  void paint(Point centre, float radius, const Shader& shader) {
    const Point turned = centre + parallax(centre);
    const float half = static_cast<float>(size_);
    const float cx = pose_.centre.x * half + unit_ * (cos_ * turned.x - sin_ * turned.y);
    const float cy = pose_.centre.y * half + unit_ * (sin_ * turned.x + cos_ * turned.y);
    const float reach =
        unit_ * (radius + 0.25f * (std::abs(pose_.yaw) + std::abs(pose_.pitch)) * 0.3f) + 1.5f;
    const auto clip = [&](float v) { return static_cast<int>(std::clamp(v, 0.f, half)); };
    const int x0 = clip(cx - reach), x1 = clip(cx + reach + 1), y0 = clip(cy - reach),
              y1 = clip(cy + reach + 1);
    for (int y = y0; y < y1; ++y)
      for (int x = x0; x < x1; ++x) {
        const auto i = static_cast<std::size_t>(y * size_ + x);
        const Paint paint = shader(places_[i]);
        if (paint.alpha > 0) pixels_[i] = mix(pixels_[i], paint.colour, saturate(paint.alpha));
      }
  }

 private:
  Point parallax(Point head) const {
    const float dome = positive(1 - head.x * head.x / 0.81f - head.y * head.y / 1.21f);
    return {0.24f * pose_.yaw * dome, 0.18f * pose_.pitch * dome};
  }

  int size_;
  Pose pose_;
  float cos_, sin_, unit_;
  std::vector<Colour> pixels_;
  std::vector<Place> places_;
};

}  // namespace kfer::data::synthetic
