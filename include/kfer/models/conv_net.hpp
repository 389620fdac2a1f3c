// ConvNN, the plain convolutional network of the K-drama experiments (Cho et al., BigComp 2022).
#pragma once

#include "kfer/nn/nn.hpp"

namespace kfer::models {

struct ConvNetConfig {
  std::int64_t kernel = 5;  ///< 5 for the multi-label experiment, 3 for 6 and 22 classes
  std::int64_t image_size = 64;
  double dropout = 0.5;
};

/// Three same-size convolutions of 128, 64 and 32 channels, each with ReLU and dropout, then one dense layer:
/// [N, 3, 64, 64] -> logits [N, classes]. 882,278 (6 classes, 3x3), 2,979,446 (22, 3x3) or 3,411,576 (24,
/// 5x5) parameters.
template <FloatingElement T = float, class D = Cpu>
struct ConvNet {
  using parameter_type = Variable<parameter_t<T>, D>;
  static constexpr const char* name = "conv_net";

  Conv2d<T, D> conv1, conv2, conv3;
  Dropout dropout1, dropout2, dropout3;
  Linear<T, D> fc;

  ConvNet(std::int64_t classes, RandomStream& random, const ConvNetConfig& config = {})
      : conv1(3, 128, config.kernel, random, {.padding = config.kernel / 2, .relu = true}),
        conv2(128, 64, config.kernel, random, {.padding = config.kernel / 2, .relu = true}),
        conv3(64, 32, config.kernel, random, {.padding = config.kernel / 2, .relu = true}),
        dropout1(config.dropout, random),
        dropout2(config.dropout, random),
        dropout3(config.dropout, random),
        fc(32 * config.image_size * config.image_size, classes, random) {}

  Variable<T, D> operator()(const Variable<T, D>& x) {
    auto y = conv1(x, dropout1.mask());
    y = conv2(y, dropout2.mask());
    y = conv3(y, dropout3.mask());
    return fc(flatten(y));
  }

  template <class Visitor>
  void visit(Visitor&& v) {
    v("conv1", conv1);
    v("conv2", conv2);
    v("conv3", conv3);
    v("dropout1", dropout1);
    v("dropout2", dropout2);
    v("dropout3", dropout3);
    v("fc", fc);
  }
};

}  // namespace kfer::models
