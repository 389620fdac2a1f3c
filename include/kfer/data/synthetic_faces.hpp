// Synthetic faces: drawn, not photographed, with expressions that depend on the labels, in clips like those
// of the K-drama set, whose real images are handed out only under an agreement. They stand in for it wherever
// kfer must run out of the box. Every picture is a pure function of (options, index): any thread may draw any
// of them at any time.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "kfer/data/synthetic/clips.hpp"
#include "kfer/data/synthetic/draw_face.hpp"

namespace kfer::data {

struct SyntheticFacesOptions {
  std::int64_t images = 4000;  ///< in train, valid and test together; the published set has 38,817
  std::uint64_t seed = 46;
  int size = 64;                    ///< pixels a side
  float expression_spread = 0.16f;  ///< how differently people show the same emotion; 0: all alike
};

class SyntheticFaces {
 public:
  /// Plans the set; draws nothing yet. Throws ValueError for a count outside 1 .. 10^7 or a size outside 8 ..
  /// 1024.
  explicit SyntheticFaces(const SyntheticFacesOptions& options)
      : options_(options), plan_(synthetic::make_plan(options.images, options.seed)) {
    require(options.size >= 8 && options.size <= 1024,
            "synthetic faces are 8 to 1024 pixels a side, asked for ", options.size);
    require(options.expression_spread >= 0 && options.expression_spread <= 1,
            "expression_spread must be in [0, 1], got ", options.expression_spread);
  }

  const SyntheticFacesOptions& options() const { return options_; }
  std::int64_t size() const { return static_cast<std::int64_t>(plan_.images.size()); }
  std::span<const synthetic::Clip> clips() const { return plan_.clips; }
  std::size_t image_bytes() const {
    return static_cast<std::size_t>(options_.size) * static_cast<std::size_t>(options_.size) * 3;
  }

  Split split(std::int64_t i) const { return image(i).split; }
  std::int32_t clip(std::int64_t i) const { return image(i).clip; }
  /// Labels as bits in the order of `multi_label`.
  LabelMask labels(std::int64_t i) const { return clip_of(i).labels; }
  std::string clip_id(std::int64_t i) const { return synthetic::clip_name(clip_of(i)); }
  std::string image_id(std::int64_t i) const { return synthetic::image_name(clip_of(i), image(i).frame); }

  /// Draws image `i` into `hwc`, height x width x RGB. Throws ValueError for an index outside the set,
  /// ShapeError for a buffer of another size than image_bytes().
  void draw(std::int64_t i, std::span<std::uint8_t> hwc) const {
    const auto& img = image(i);
    const auto clip = static_cast<std::uint64_t>(img.clip), frame = static_cast<std::uint64_t>(img.frame);
    CounterRandom of_clip{options_.seed, 1000, clip}, of_frame{options_.seed, 2000, clip, frame};
    synthetic::Appearance appearance = synthetic::sample_appearance(of_clip);
    synthetic::Expression expression = synthetic::expression_of(clip_of(i).labels);
    synthetic::vary_expression(expression, options_.expression_spread, of_clip);
    synthetic::vary_appearance(appearance, of_frame);
    synthetic::vary_expression(expression, 0.4f * options_.expression_spread, of_frame);
    synthetic::draw_face(appearance, expression, options_.size,
                         CounterRandom{options_.seed, 3000, clip, frame}, hwc);
  }

 private:
  const synthetic::Image& image(std::int64_t i) const {
    require(i >= 0 && i < size(), "synthetic faces: no image ", i, " in a set of ", size());
    return plan_.images[static_cast<std::size_t>(i)];
  }
  const synthetic::Clip& clip_of(std::int64_t i) const {
    return plan_.clips[static_cast<std::size_t>(image(i).clip)];
  }

  SyntheticFacesOptions options_;
  synthetic::Plan plan_;
};

}  // namespace kfer::data
