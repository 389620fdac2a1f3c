// Test images with their labels and predictions, and figures of other images.
#pragma once

#include <string>

#include "kfer/metrics/predictions.hpp"
#include "kfer/train/report/contents.hpp"
#include "kfer/train/report/picture.hpp"

namespace kfer::report {

namespace detail {

inline void check_sample(const ReportSample& sample, std::size_t classes) {
  const auto fits = [&](const std::vector<float>& values) {
    return values.empty() || values.size() == classes;
  };
  require<ShapeError>(fits(sample.labels) && fits(sample.probabilities), "report: the sample '", sample.id,
                      "' has ", sample.labels.size(), " labels and ", sample.probabilities.size(),
                      " probabilities, expected ", classes, " or none");
  for (const float label : sample.labels)
    require(label == 0.f || label == 1.f, "report: a label of the sample '", sample.id, "' is ", label,
            ", expected 0 or 1");
  for (const float p : sample.probabilities)
    require<NumericError>(!std::isnan(p), "report: a probability of the sample '", sample.id, "' is NaN");
}

/// What a card says about its sample: right or wrong in words, then each label that is true or predicted.
inline Html sample_verdict(const ReportSample& sample, const RunReport& run) {
  const std::size_t classes = run.label_names.size();
  const bool known = !sample.labels.empty(), judged = !sample.probabilities.empty();
  const auto strongest = judged ? metrics::argmax(sample.probabilities) : -1;
  bool right = true;
  Html list;
  for (std::size_t c = 0; c < classes; ++c) {
    const bool truth = known && sample.labels[c] == 1.f;
    const bool predicted = judged && (run.multi_label ? sample.probabilities[c] >= run.threshold
                                                      : static_cast<std::int64_t>(c) == strongest);
    right &= truth == predicted;
    if (!truth && !predicted) continue;
    list.add("<li><span>"_html);
    if (known && judged)
      list.add(truth && predicted ? "<span class=\"good\">\u2713</span> "_html
               : truth            ? "<span class=\"bad\">missed</span> "_html
                                  : "<span class=\"bad\">false</span> "_html);
    list.add(run.label_names[c], "</span>"_html);
    if (judged) list.add("<span>"_html, fixed(sample.probabilities[c], 2), "</span>"_html);
    list.add("</li>"_html);
  }
  Html out;
  if (known && judged)
    out.add(right ? "<p class=\"verdict good\">\u2713 right</p>"_html
                  : "<p class=\"verdict bad\">\u2717 wrong</p>"_html);
  if (!known && !judged) return out;
  if (list.empty()) list.add("<li>no label</li>"_html);
  return out.add("<ul>"_html, list, "</ul>"_html);
}

}  // namespace detail

/// A card for each sample.
inline Html sample_section(const RunReport& run) {
  if (run.samples.empty()) return {};
  Html cards("<ul class=\"cards\">"_html);
  for (const auto& sample : run.samples) {
    detail::check_sample(sample, run.label_names.size());
    cards.add("<li class=\"card\">"_html,
              picture(sample.pixels, sample.height, sample.width, text("test image ", sample.id),
                      text("the sample '", sample.id, "'")),
              "<p class=\"id\">"_html, sample.id, "</p>"_html, detail::sample_verdict(sample, run),
              "</li>\n"_html);
  }
  return Html(
      "<p>Labels that are true or predicted, with the model\u2019s probability. \u2713: true and "
      "predicted; missed: true, not predicted; false: predicted, not true.</p>"_html,
      cards.add("</ul>"_html));
}

/// Rows of images with captions.
inline Html figure_section(const RunReport& run) {
  Html out;
  for (const auto& group : run.figures) {
    if (group.rows.empty()) continue;
    out.add("<h3>"_html, group.title, "</h3>"_html);
    if (!group.note.empty()) out.add("<p class=\"note\">"_html, group.note, "</p>"_html);
    out.add("<ul class=\"cards wide\">"_html);
    for (const auto& row : group.rows) {
      out.add("<li class=\"card\"><div class=\"strip\">"_html);
      for (const auto& image : row)
        out.add("<figure>"_html,
                picture(image.pixels, image.height, image.width, image.caption,
                        text("an image of '", group.title, "'")),
                "<figcaption>"_html, image.caption, "</figcaption></figure>"_html);
      out.add("</div></li>\n"_html);
    }
    out.add("</ul>"_html);
  }
  return out;
}

}  // namespace kfer::report
