// The convolutions of kfer's models (include/kfer/models), by shape, at the batches that they are trained
// with.
#pragma once

#include <string>
#include <vector>

#include "kfer/ops/conv2d/conv2d.hpp"

namespace kfer::test {

struct ConvLayer {
  std::string model;
  Conv2dShape shape;
  bool bias = true, relu = false;
  bool transposed = false;  ///< a transposed convolution: its forward pass is backward_data of `shape`
  bool image = false;       ///< the model's first layer, whose input has no gradient
  bool normalized = false;  ///< a batch norm and a ReLU precede and follow it
};

inline Conv2dShape conv_shape(std::int64_t batch, std::int64_t in, std::int64_t size, std::int64_t out,
                              std::int64_t kernel, std::int64_t stride = 1) {
  return Conv2dShape::of({batch, in, size, size}, {out, in, kernel, kernel},
                         {.stride = stride, .padding = kernel / 2});
}

/// models/conv_net.hpp
inline void add_conv_net(std::vector<ConvLayer>& out, std::int64_t kernel, std::int64_t batch) {
  const std::string name = text("ConvNet ", kernel, 'x', kernel);
  out.push_back({.model = name, .shape = conv_shape(batch, 3, 64, 128, kernel), .relu = true, .image = true});
  out.push_back({.model = name, .shape = conv_shape(batch, 128, 64, 64, kernel), .relu = true});
  out.push_back({.model = name, .shape = conv_shape(batch, 64, 64, 32, kernel), .relu = true});
}

/// models/autoencoder.hpp
inline void add_autoencoder(std::vector<ConvLayer>& out, std::int64_t batch) {
  const std::string name = "Autoencoder";
  out.push_back({.model = name, .shape = conv_shape(batch, 3, 64, 32, 3), .relu = true, .image = true});
  for (const std::int64_t size : {32, 16})
    out.push_back({.model = name, .shape = conv_shape(batch, 32, size, 32, 3), .relu = true});
  for (const std::int64_t size : {8, 16, 32})
    out.push_back(
        {.model = name, .shape = conv_shape(batch, 32, size, 32, 3), .relu = true, .transposed = true});
  out.push_back({.model = name, .shape = conv_shape(batch, 32, 64, 3, 3)});
}

/// models/resnet.hpp; `keras`: the stride sits on the first 1x1 and convolutions have a bias.
inline void add_resnet50(std::vector<ConvLayer>& out, std::int64_t image, std::int64_t batch, bool keras) {
  const std::string name = text("ResNet50 ", image, keras ? " keras" : " torchvision");
  const auto add = [&](std::int64_t in, std::int64_t size, std::int64_t width, std::int64_t kernel,
                       std::int64_t stride) {
    out.push_back({.model = name,
                   .shape = conv_shape(batch, in, size, width, kernel, stride),
                   .bias = keras,
                   .image = in == 3,
                   .normalized = true});
  };
  add(3, image, 64, 7, 2);
  std::int64_t size = image / 4, in = 64;
  for (const auto& [width, count, first_stride] :
       {std::array<std::int64_t, 3>{64, 3, 1}, {128, 4, 2}, {256, 6, 2}, {512, 3, 2}})
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t stride = i == 0 ? first_stride : 1, after = size / stride;
      add(in, size, width, 1, keras ? stride : 1);
      add(width, keras ? after : size, width, 3, keras ? 1 : stride);
      add(width, after, 4 * width, 1, 1);
      if (i == 0) add(in, size, 4 * width, 1, stride);
      in = 4 * width;
      size = after;
    }
}

inline std::vector<ConvLayer> model_layers() {
  std::vector<ConvLayer> out;
  for (const std::int64_t kernel : {5, 3}) add_conv_net(out, kernel, 64);
  add_autoencoder(out, 64);
  for (const bool keras : {true, false}) {
    add_resnet50(out, 64, 64, keras);
    add_resnet50(out, 224, 128, keras);
  }
  return out;
}

/// What the models have, small; then ragged, prime and one-sized extents, strides that leave rows out,
/// groups, dilation.
inline std::vector<Conv2dShape> sample_convolutions() {
  return {Conv2dShape::of({4, 32, 16, 16}, {64, 32, 3, 3}, {.padding = 1}),
          Conv2dShape::of({2, 64, 8, 8}, {128, 64, 1, 1}, {.stride = 2}),
          Conv2dShape::of({2, 64, 14, 14}, {64, 64, 3, 3}, {.stride = 2, .padding = 1}),
          Conv2dShape::of({2, 3, 32, 32}, {64, 3, 7, 7}, {.stride = 2, .padding = 3}),
          Conv2dShape::of({2, 3, 20, 20}, {32, 3, 5, 5}, {.padding = 2}),
          Conv2dShape::of({2, 32, 12, 12}, {3, 32, 3, 3}, {.padding = 1}),
          Conv2dShape::of({3, 5, 13, 11}, {7, 5, 3, 2}, {.stride = {2, 1}, .padding = {1, 0}}),
          Conv2dShape::of({1, 1, 1, 1}, {1, 1, 1, 1}, {}),
          Conv2dShape::of({1, 17, 1, 19}, {13, 17, 1, 3}, {.stride = {1, 3}, .padding = {0, 2}}),
          Conv2dShape::of({2, 16, 15, 9}, {24, 16, 3, 3}, {.padding = {2, 3}, .dilation = {2, 3}}),
          Conv2dShape::of({2, 32, 10, 10}, {32, 1, 3, 3}, {.padding = 1, .groups = 32}),
          Conv2dShape::of({2, 32, 10, 10}, {48, 8, 3, 3}, {.stride = 2, .padding = 1, .groups = 4})};
}

/// Shapes at the edge of what makes sense: padding beyond the filter, strides beyond it, dilation and filters
/// as wide as the image, images of one pixel, many, and one of 2^34 values.
inline std::vector<Conv2dShape> odd_convolutions() {
  return {Conv2dShape::of({2, 8, 5, 5}, {16, 8, 1, 1}, {.padding = 2}),
          Conv2dShape::of({2, 8, 5, 5}, {16, 8, 3, 3}, {.padding = 4}),
          Conv2dShape::of({1, 8, 3, 3}, {8, 8, 3, 3}, {.stride = 7}),
          Conv2dShape::of({2, 8, 40, 40}, {16, 8, 3, 3}, {.padding = 1, .dilation = 19}),
          Conv2dShape::of({2, 1, 28, 28}, {5, 1, 28, 28}, {.padding = 27}),
          Conv2dShape::of({70000, 8, 1, 1}, {16, 8, 3, 3}, {.padding = 1}),
          Conv2dShape::of({1, 64, 16384, 16384}, {64, 64, 3, 3}, {.padding = 1})};
}

}  // namespace kfer::test
