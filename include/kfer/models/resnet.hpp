// ResNet-50 (He et al., "Deep Residual Learning for Image Recognition", CVPR 2016), in the two forms that
// published weights come in, and the transfer model of the K-drama experiments built on it. ResNet-18 is in
// resnet18.hpp.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "kfer/nn/nn.hpp"

namespace kfer::models {

struct ResNetConfig {
  bool stride_on_first = true;  ///< of a bottleneck: on the first 1x1 (v1) or on the 3x3 (v1.5)
  bool conv_bias = true;        ///< convolutions carry a bias although a batch norm follows
  double eps = 1.001e-5;        ///< of the batch norms
  double momentum = 0.01;       ///< share of the new batch in the running statistics

  /// keras.applications.ResNet50.
  static ResNetConfig keras() { return {}; }
  /// torchvision.models.resnet50.
  static ResNetConfig torchvision() {
    return {.stride_on_first = false, .conv_bias = false, .eps = 1e-5, .momentum = 0.1};
  }

  BatchNorm2dConfig norm(bool relu) const { return {.momentum = momentum, .eps = eps, .relu = relu}; }
};

/// The projection on the shortcut of a residual block that changes its size, else nothing.
template <FloatingElement T, class D>
using ResNetShortcut = std::optional<ConvBatchNorm2d<T, D>>;

template <FloatingElement T, class D>
ResNetShortcut<T, D> resnet_shortcut(std::int64_t in, std::int64_t out, std::int64_t stride,
                                     RandomStream& random, const ResNetConfig& config) {
  if (stride == 1 && in == out) return std::nullopt;
  return ConvBatchNorm2d<T, D>(in, out, 1, random, {.stride = stride, .bias = config.conv_bias},
                               config.norm(false));
}

/// 1x1 reduce, 3x3, 1x1 expand by 4, each with batch norm; ReLU after the sum with the shortcut.
template <FloatingElement T = float, class D = Cpu>
struct Bottleneck {
  using value_type = T;
  using device_type = D;
  using parameter_type = Variable<parameter_t<T>, D>;
  static constexpr std::int64_t expansion = 4;

  ConvBatchNorm2d<T, D> reduce, spatial, expand;
  ResNetShortcut<T, D> downsample;

  Bottleneck(std::int64_t in, std::int64_t width, std::int64_t stride, RandomStream& random,
             const ResNetConfig& config)
      : reduce(in, width, 1, random,
               {.stride = config.stride_on_first ? stride : 1, .bias = config.conv_bias}, config.norm(true)),
        spatial(width, width, 3, random,
                {.stride = config.stride_on_first ? 1 : stride, .padding = 1, .bias = config.conv_bias},
                config.norm(true)),
        expand(width, width * expansion, 1, random, {.bias = config.conv_bias}, config.norm(true)),
        downsample(resnet_shortcut<T, D>(in, width * expansion, stride, random, config)) {}

  Variable<T, D> operator()(const Variable<T, D>& x) {
    const auto y = spatial(reduce(x));
    return expand(y, downsample ? (*downsample)(x) : x);
  }

  template <class Visitor>
  void visit(Visitor&& v) {
    v({"conv1", "bn1"}, reduce);
    v({"conv2", "bn2"}, spatial);
    v({"conv3", "bn3"}, expand);
    v("downsample", downsample);
  }
};

/// A ResNet without its classifier, built of `Block`s: 7x7 stem, max pooling, four stages of 64, 128, 256 and
/// 512 channels (times the block's expansion), global average pooling: [N, 3, H, W] -> [N, features].
/// Parameters carry torchvision's names.
template <class Block>
struct ResNetTrunk {
  using parameter_type = typename Block::parameter_type;
  using value_type = Variable<typename Block::value_type, typename Block::device_type>;
  static constexpr std::int64_t features = 512 * Block::expansion;

  ConvBatchNorm2d<typename Block::value_type, typename Block::device_type> stem;
  MaxPool2d pool{{.kernel = 3, .stride = 2, .padding = 1}};
  std::vector<Block> layer1, layer2, layer3, layer4;

  /// `depths`: blocks of each stage.
  ResNetTrunk(std::array<int, 4> depths, RandomStream& random, const ResNetConfig& config)
      : stem(3, 64, 7, random, {.stride = 2, .padding = 3, .bias = config.conv_bias}, config.norm(true)) {
    std::int64_t in = 64, width = 64;
    for (std::size_t s = 0; s < 4; ++s, width *= 2)
      for (int i = 0; i < depths[s]; ++i, in = width * Block::expansion)
        stages()[s]->emplace_back(in, width, s > 0 && i == 0 ? 2 : 1, random, config);
  }

  value_type operator()(const value_type& x) {
    auto y = pool(stem(x));
    for (auto* stage : stages())
      for (auto& block : *stage) y = block(y);
    return global_avg_pool(y);
  }

  template <class Visitor>
  void visit(Visitor&& v) {
    v({"conv1", "bn1"}, stem);
    v("layer1", layer1);
    v("layer2", layer2);
    v("layer3", layer3);
    v("layer4", layer4);
  }

 private:
  std::array<std::vector<Block>*, 4> stages() { return {&layer1, &layer2, &layer3, &layer4}; }
};

/// ResNet-50 without its classifier: [N, 3, H, W] -> [N, 2048].
template <FloatingElement T = float, class D = Cpu>
struct ResNet50 : ResNetTrunk<Bottleneck<T, D>> {
  static constexpr const char* name = "resnet50";
  explicit ResNet50(RandomStream& random, const ResNetConfig& config = ResNetConfig::keras())
      : ResNetTrunk<Bottleneck<T, D>>({3, 4, 6, 3}, random, config) {}
};

/// The transfer model of the K-drama experiments (Cho et al., BigComp 2022): ResNet-50, average pooling,
/// dense, dropout 0.5, dense. [N, 3, H, W] -> logits [N, classes]. Parameters, total / trainable with the
/// published freezing: 23,600,048 / 17,227,824 (6 classes), 23,633,296 / 17,261,072 (22), 23,637,488 /
/// 17,265,264 (24).
template <FloatingElement T = float, class D = Cpu>
struct ResNet50Classifier {
  using parameter_type = Variable<parameter_t<T>, D>;
  static constexpr const char* name = "resnet50_classifier";

  ResNet50<T, D> backbone;
  Linear<T, D> fc1;
  Dropout dropout;
  Linear<T, D> fc2;

  ResNet50Classifier(std::int64_t classes, RandomStream& random,
                     const ResNetConfig& config = ResNetConfig::keras())
      : backbone(random, config),
        fc1(ResNet50<T, D>::features, classes, random),
        dropout(0.5, random),
        fc2(classes, classes, random) {}

  Variable<T, D> operator()(const Variable<T, D>& x) { return fc2(dropout(fc1(backbone(x)))); }

  /// Takes the first 120 Keras layers out of training, as published: everything up to and including
  /// conv4_block4_3_conv, which is layer3[3].conv3 here; its batch norm and all that follows train.
  void freeze_as_published() {
    set_frozen(backbone.stem, true);
    for (auto* stage : {&backbone.layer1, &backbone.layer2})
      for (auto& block : *stage) set_frozen(block, true);
    for (std::size_t i = 0; i < 3; ++i) set_frozen(backbone.layer3[i], true);
    auto& last = backbone.layer3[3];
    set_frozen(last.reduce, true);
    set_frozen(last.spatial, true);
    set_frozen(last.expand.conv, true);
  }

  template <class Visitor>
  void visit(Visitor&& v) {
    v("backbone", backbone);
    v("fc1", fc1);
    v("dropout", dropout);
    v("fc2", fc2);
  }
};

}  // namespace kfer::models
