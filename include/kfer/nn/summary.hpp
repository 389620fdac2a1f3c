// How large a model is.
#pragma once

#include "kfer/nn/module.hpp"

namespace kfer {

struct ParameterCount {
  std::int64_t total = 0;      ///< elements of all parameters and buffers, as Keras counts
  std::int64_t trainable = 0;  ///< elements of the parameters that require a gradient
  friend bool operator==(const ParameterCount&, const ParameterCount&) = default;
};

template <Module M>
ParameterCount count_parameters(M& m) {
  ParameterCount count;
  for_each_parameter(m, [&](const std::string&, const auto& p) {
    count.total += p.numel();
    if (p.requires_grad()) count.trainable += p.numel();
  });
  for_each_buffer(m, [&](const std::string&, const auto& b) { count.total += b.numel(); });
  return count;
}

/// A table, one line a layer: name, shapes of its parameters and buffers, elements, and how many are trained.
template <Module M>
std::string summary(M& m) {
  struct Line {
    std::string name, shapes;
    ParameterCount count;
  };
  std::vector<Line> lines;
  const auto add = [&](const std::string& path, const Shape& shape, std::int64_t trainable) {
    const auto dot = path.rfind('.');
    const std::string layer = dot == std::string::npos ? "" : path.substr(0, dot);
    if (lines.empty() || lines.back().name != layer) lines.push_back({layer, "", {}});
    Line& line = lines.back();
    line.shapes += text(line.shapes.empty() ? "" : " ", path.substr(dot + 1), shape);
    line.count.total += shape.numel();
    line.count.trainable += trainable;
  };
  for_each_member(m, [&](const std::string& path, const auto& x) {
    using X = std::remove_cvref_t<decltype(x)>;
    if constexpr (detail::is_variable<X>) add(path, x.shape(), x.requires_grad() ? x.numel() : 0);
    if constexpr (detail::is_tensor<X>) add(path, x.shape(), 0);
  });
  const auto count = count_parameters(m);
  lines.push_back({"total", "", count});
  std::size_t name_width = 5, total_width = 5;
  for (const auto& line : lines) {
    name_width = std::max(name_width, line.name.size());
    total_width = std::max(total_width, text(line.count.total).size());
  }
  const auto left = [](std::string s, std::size_t width) {
    return s.append(width - std::min(width, s.size()), ' ');
  };
  const auto right = [](const std::string& s, std::size_t width) {
    return std::string(width - std::min(width, s.size()), ' ') + s;
  };
  const std::size_t trainable_width = std::max<std::size_t>(9, total_width);
  std::string out = text(left("layer", name_width), "  ", right("total", total_width), "  ",
                         right("trainable", trainable_width), "  shapes\n");
  for (const auto& line : lines) {
    out += text(left(line.name, name_width), "  ", right(text(line.count.total), total_width), "  ",
                right(text(line.count.trainable), trainable_width), line.shapes.empty() ? "" : "  ",
                line.shapes, "\n");
  }
  return out;
}

}  // namespace kfer
