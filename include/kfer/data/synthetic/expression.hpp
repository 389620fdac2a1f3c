// What an emotion does to a face. Each of the 24 emotions is a short list of facial actions with strengths,
// in the spirit of the Facial Action Coding System (Ekman and Friesen 1978), plus the shorthand of
// illustration (tears, sweat, blush), because 64x64 pixels need clear signs. These are the drawing's
// conventions, not a claim about people.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <initializer_list>
#include <utility>

#include "kfer/data/label_sets.hpp"

namespace kfer::data::synthetic {

/// Signed actions are 0 at rest and reach about 1 at full strength.
enum class Action : std::size_t {
  brow_inner,    ///< inner ends of the brows: + up, - down
  brow_outer,    ///< outer ends: + up, - down
  brow_skew,     ///< one brow up, the other down
  furrow,        ///< upright lines between the brows
  lid,           ///< upper lids: + wide, - closing (-1 shut)
  squint,        ///< lower lids pushed up, as in a broad smile
  gaze_x,        ///< + the picture's right
  gaze_y,        ///< + down
  sparkle,       ///< wet, shining eyes
  bags,          ///< dark rings below the eyes
  nose_wrinkle,  ///< lines over the bridge, raised upper lip
  flare,         ///< wide nostrils
  smile,         ///< corners of the mouth: + up, - down
  open,          ///< jaw drop
  wide,          ///< mouth: + stretched, - pursed
  clench,        ///< both rows of teeth bared
  pout,          ///< lower lip: + pushed out, - pressed in
  smirk,         ///< mouth pulled up on one side
  tremble,       ///< wavy mouth
  bite,          ///< teeth on the lower lip
  blush,         ///< cheeks
  nose_blush,    ///< a band over nose and cheeks
  flush,         ///< the whole face reddens
  pallor,        ///< blue-white forehead
  tears,         ///< streaks down the cheeks
  sweat,         ///< a drop on the temple
  roll,          ///< head leaning: + to the picture's right
  pitch,         ///< head: + bowed, - thrown back
  count,
};

inline constexpr std::size_t action_count = static_cast<std::size_t>(Action::count);

/// Strengths of all actions.
class Expression {
 public:
  constexpr Expression() = default;
  constexpr Expression(std::initializer_list<std::pair<Action, float>> actions) {
    for (const auto& [action, strength] : actions) (*this)[action] = strength;
  }
  constexpr float& operator[](Action a) { return strengths_[static_cast<std::size_t>(a)]; }
  constexpr float operator[](Action a) const { return strengths_[static_cast<std::size_t>(a)]; }
  constexpr float& operator[](std::size_t a) { return strengths_[a]; }
  constexpr float operator[](std::size_t a) const { return strengths_[a]; }

 private:
  std::array<float, action_count> strengths_{};
};

/// The emotions in the order of `multi_label`.
inline const std::array<Expression, 24>& emotion_expressions() {
  using enum Action;
  static const std::array<Expression, 24> table{{
      /* moved */ {
          {brow_inner, 0.7f}, {sparkle, 1.f}, {smile, 0.35f}, {open, 0.25f}, {gaze_y, -0.5f}, {pitch, -0.3f}},
      /* fearful */
      {{brow_inner, 0.9f},
       {brow_outer, 0.5f},
       {lid, 0.9f},
       {wide, 0.5f},
       {clench, 0.8f},
       {open, 0.25f},
       {pallor, 1.f}},
      /* bored */
      {{lid, -0.6f}, {gaze_x, -0.7f}, {gaze_y, -0.4f}, {brow_outer, -0.2f}, {smirk, -0.5f}, {roll, -0.5f}},
      /* surprised */ {{brow_inner, 1.1f}, {brow_outer, 1.2f}, {lid, 1.f}, {open, 0.8f}, {wide, -0.5f}},
      /* angry */
      {{brow_inner, -1.1f},
       {brow_outer, 0.5f},
       {furrow, 1.f},
       {lid, -0.15f},
       {smile, -0.7f},
       {flush, 0.6f},
       {flare, 0.6f}},
      /* anxious */ {{brow_inner, 0.6f}, {furrow, 0.5f}, {gaze_x, 0.9f}, {tremble, 1.f}, {sweat, 1.f}},
      /* smitten */
      {{blush, 1.f}, {lid, -0.25f}, {smile, 0.5f}, {sparkle, 0.5f}, {gaze_y, -0.4f}, {brow_outer, 0.3f}},
      /* fluttered */ {{nose_blush, 1.f}, {lid, 0.5f}, {wide, -0.6f}, {gaze_x, -0.6f}, {brow_inner, 0.5f}},
      /* disappointed */
      {{brow_outer, -0.7f}, {lid, -0.4f}, {gaze_y, 0.8f}, {smirk, -0.9f}, {smile, -0.4f}, {pitch, 0.4f}},
      /* fulfilled */
      {{lid, -0.5f}, {smile, 0.8f}, {wide, 0.6f}, {pout, -0.6f}, {pitch, -0.8f}, {brow_outer, 0.3f}},
      /* ashamed */
      {{pitch, 1.f},
       {gaze_y, 1.f},
       {lid, -0.5f},
       {blush, 0.5f},
       {nose_blush, 0.5f},
       {pout, -0.8f},
       {brow_inner, 0.4f}},
      /* sad */ {{brow_inner, 1.f}, {brow_outer, -0.6f}, {smile, -0.8f}, {tears, 1.f}, {lid, -0.2f}},
      /* upset */
      {{brow_inner, -0.5f}, {furrow, 0.8f}, {pout, 1.f}, {smile, -0.6f}, {wide, -0.3f}, {squint, 0.3f}},
      /* sympathetic */ {{roll, 1.f}, {brow_inner, 0.8f}, {smile, 0.25f}, {pout, -0.3f}},
      /* passionate */
      {{lid, 0.6f},
       {brow_inner, -0.6f},
       {brow_outer, 0.8f},
       {open, 0.5f},
       {smile, 0.5f},
       {flare, 1.f},
       {flush, 0.4f},
       {sparkle, 0.5f}},
      /* depressed */
      {{bags, 1.f}, {lid, -0.55f}, {gaze_y, 0.5f}, {brow_outer, -0.4f}, {smile, -0.4f}, {pitch, 0.3f}},
      /* amused */ {{open, 0.6f}, {smile, 0.9f}, {wide, 0.5f}, {brow_inner, 0.4f}, {brow_outer, 0.4f}},
      /* affectionate */ {{roll, -1.f}, {blush, 0.5f}, {smile, 0.5f}, {lid, -0.35f}, {squint, 0.3f}},
      /* guilty */ {{bite, 1.f}, {gaze_x, -0.9f}, {gaze_y, 0.5f}, {brow_inner, 0.7f}, {brow_outer, -0.2f}},
      /* neutral */ {},
      /* jealous */ {{brow_skew, 1.f}, {gaze_x, 1.f}, {smirk, 0.9f}, {lid, -0.25f}},
      /* peaceful */ {{lid, -1.f}, {smile, 0.4f}, {brow_outer, 0.1f}},
      /* happy */ {{squint, 1.f}, {smile, 1.f}, {wide, 0.5f}, {brow_outer, 0.3f}},
      /* disgusted */
      {{nose_wrinkle, 1.f}, {brow_inner, -0.6f}, {squint, 0.4f}, {smile, -0.5f}, {wide, 0.2f}},
  }};
  return table;
}

/// Blends the emotions of a label set. For every action the strengths v are weighted by their own size, sum
/// v|v| / sum |v|: what only one of the emotions does shows undiminished, what they agree on stays, and what
/// they contradict each other in goes to the one that insists more.
inline Expression expression_of(LabelMask labels) {
  Expression out;
  for (std::size_t a = 0; a < action_count; ++a) {
    float sum = 0, weight = 0;
    for (std::size_t i = 0; i < multi_label.width(); ++i)
      if (labels >> i & 1) {
        const float v = emotion_expressions()[i][a];
        sum += v * std::abs(v), weight += std::abs(v);
      }
    out[a] = weight > 0 ? sum / weight : 0.f;
  }
  return out;
}

}  // namespace kfer::data::synthetic
