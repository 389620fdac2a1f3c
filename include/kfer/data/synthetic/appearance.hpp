// Everything about a picture that does not depend on the emotion: who is shown, in what light, before what,
// and how the camera sees it. Drawn once a clip; a frame then moves it a little.
#pragma once

#include <array>

#include "kfer/data/counter_random.hpp"
#include "kfer/data/synthetic/canvas.hpp"
#include "kfer/data/synthetic/expression.hpp"

namespace kfer::data::synthetic {

enum class Fringe { swept, bangs, curtain, side_part, receding, count };

struct Appearance {
  Colour skin, lips, hair, iris, cloth, backdrop_top, backdrop_bottom, tint;
  float jaw = 0.5f, chin = 0, eye_spacing = 0.27f, eye_size = 1, eye_slant = 0, brow_weight = 1, nose = 1,
        lip = 1, mouth_width = 1, age = 0;
  Fringe fringe = Fringe::swept;
  float parting = 1, hair_volume = 1, hair_phase = 0;
  bool long_hair = false, crease = true, lashes = false, glasses = false, earrings = false;
  Colour glasses_colour;
  std::array<Point, 4> lamps{};  ///< soft discs in the backdrop, in [-1, 1]
  std::array<float, 4> lamp_radii{};
  Point light;  ///< direction, in the picture plane, that light comes from; length below 1
  float light_strength = 0.5f;
  Pose pose;
  float blur = 0, noise = 0.01f, exposure = 1, contrast = 1;
};

inline Appearance sample_appearance(CounterRandom& random) {
  Appearance a;
  // Skin runs from light to deep; undertone and saturation vary around the line.
  constexpr std::array<Colour, 4> skins{
      {{0.98f, 0.85f, 0.75f}, {0.93f, 0.75f, 0.62f}, {0.84f, 0.64f, 0.49f}, {0.66f, 0.46f, 0.34f}}};
  const float depth = 2.9f * random.uniform() * random.uniform(0.4f, 1.f);
  const auto step = static_cast<std::size_t>(depth);
  a.skin = mix(skins[step], skins[step + 1], depth - static_cast<float>(step)) +
           Colour{random.normal(0, 0.012f), random.normal(0, 0.012f), random.normal(0, 0.015f)};
  a.age = random.chance(0.25f) ? random.uniform(0.3f, 1.f) : 0.f;
  const bool made_up = random.chance(0.4f);
  a.lips = mix(Colour{0.80f, 0.50f, 0.46f} * a.skin + Colour{0.08f, 0, 0}, {0.80f, 0.25f, 0.30f},
               made_up ? random.uniform(0.3f, 0.8f) : 0.f);
  constexpr std::array<Colour, 5> hairs{{{0.08f, 0.07f, 0.08f},
                                         {0.16f, 0.11f, 0.09f},
                                         {0.30f, 0.19f, 0.13f},
                                         {0.45f, 0.29f, 0.16f},
                                         {0.20f, 0.13f, 0.16f}}};
  a.hair = mix(hairs[random.below(hairs.size())], {0.72f, 0.71f, 0.70f},
               a.age > 0.6f ? random.uniform(0.2f, 0.9f) : 0.f);
  a.iris = mix(Colour{0.13f, 0.08f, 0.05f}, {0.34f, 0.21f, 0.11f}, random.uniform());
  const auto muted = [&](float low, float high) {
    const float grey = random.uniform(low, high);
    return Colour{grey * random.uniform(0.75f, 1.15f), grey * random.uniform(0.8f, 1.1f),
                  grey * random.uniform(0.75f, 1.2f)};
  };
  a.cloth = muted(0.15f, 0.85f);
  a.backdrop_top = muted(0.15f, 0.8f);
  a.backdrop_bottom = mix(a.backdrop_top, muted(0.1f, 0.7f), 0.7f);
  a.jaw = random.uniform(0.44f, 0.55f);
  a.chin = random.uniform(-0.05f, 0.05f);
  a.eye_spacing = random.uniform(0.25f, 0.29f);
  a.eye_size = random.uniform(0.9f, 1.15f);
  a.eye_slant = random.uniform(-0.015f, 0.03f);
  a.brow_weight = random.uniform(0.7f, 1.3f);
  a.nose = random.uniform(0.85f, 1.2f);
  a.lip = random.uniform(0.75f, 1.25f);
  a.mouth_width = random.uniform(0.9f, 1.12f);
  a.long_hair = random.chance(0.5f);
  a.fringe = static_cast<Fringe>(random.below(a.long_hair ? 4 : 5));
  a.parting = random.chance(0.5f) ? 1.f : -1.f;
  a.hair_volume = random.uniform(0.95f, 1.12f);
  a.hair_phase = random.uniform(0, 6.28f);
  a.crease = random.chance(0.6f);
  a.lashes = a.long_hair && random.chance(0.7f);
  a.glasses = random.chance(0.14f);
  a.glasses_colour = random.chance(0.6f) ? Colour{0.10f, 0.10f, 0.11f} : muted(0.3f, 0.6f);
  a.earrings = a.long_hair && random.chance(0.3f);
  for (std::size_t i = 0; i < a.lamps.size(); ++i) {
    a.lamps[i] = {random.uniform(-1.1f, 1.1f), random.uniform(-1.1f, 0.6f)};
    a.lamp_radii[i] = random.uniform(0.1f, 0.45f);
  }
  const float angle = random.uniform(-2.6f, -0.5f);  // from above, left to right
  const float lean = random.uniform(0.2f, 0.8f);
  a.light = {lean * std::cos(angle), lean * std::sin(angle)};
  a.light_strength = random.uniform(0.25f, 0.9f);
  const float warmth = random.normal(0, 0.05f);
  a.tint = {1 + warmth, 1 + random.normal(0, 0.015f), 1 - warmth};
  a.pose.centre = {0.5f + random.normal(0, 0.015f), 0.53f + random.normal(0, 0.015f)};
  a.pose.scale = random.uniform(0.46f, 0.54f);
  a.pose.roll = random.normal(0, 0.045f);
  a.pose.yaw = random.normal(0, 0.28f);
  a.pose.pitch = random.normal(0, 0.12f);
  a.blur = random.chance(0.5f) ? random.uniform(0, 0.75f) : 0.f;
  a.noise = random.uniform(0.004f, 0.03f);
  a.exposure = random.uniform(0.78f, 1.14f);
  a.contrast = random.uniform(0.88f, 1.12f);
  return a;
}

/// The next frame of the same clip: the head sways, the camera breathes.
inline void vary_appearance(Appearance& a, CounterRandom& random) {
  a.pose.centre = a.pose.centre + Point{random.normal(0, 0.01f), random.normal(0, 0.01f)};
  a.pose.scale *= 1 + random.normal(0, 0.015f);
  a.pose.roll += random.normal(0, 0.025f);
  a.pose.yaw = std::clamp(a.pose.yaw + random.normal(0, 0.09f), -1.f, 1.f);
  a.pose.pitch = std::clamp(a.pose.pitch + random.normal(0, 0.05f), -1.f, 1.f);
  a.exposure *= 1 + random.normal(0, 0.015f);
  a.blur = positive(a.blur + random.normal(0, 0.08f));
}

/// How strongly a person shows the emotion: one strength for all actions, a little of each one's own, and a
/// resting face that differs from person to person.
inline void vary_expression(Expression& e, float spread, CounterRandom& random) {
  const float strength = 1 + random.normal(0, spread);
  for (std::size_t a = 0; a < action_count; ++a)
    e[a] *= std::clamp(strength + random.normal(0, spread), 0.5f, 1.4f);
  using enum Action;
  for (const auto action : {brow_inner, brow_outer, lid, smile, wide, gaze_x, gaze_y})
    e[action] += random.normal(0, 0.6f * spread);
}

}  // namespace kfer::data::synthetic
