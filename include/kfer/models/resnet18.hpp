// ResNet-18 (He et al., "Deep Residual Learning for Image Recognition", CVPR 2016) as torchvision has it.
#pragma once

#include "kfer/models/resnet.hpp"

namespace kfer::models {

/// Two 3x3 convolutions, each with batch norm; ReLU after the sum with the shortcut.
template <FloatingElement T = float, class D = Cpu>
struct BasicBlock {
  using parameter_type = Variable<parameter_t<T>, D>;

  Conv2d<T, D> conv1;
  BatchNorm2d<T, D> bn1;
  Conv2d<T, D> conv2;
  BatchNorm2d<T, D> bn2;
  std::optional<Sequential<Conv2d<T, D>, BatchNorm2d<T, D>>> downsample;

  BasicBlock(std::int64_t in, std::int64_t width, std::int64_t stride, RandomStream& random,
             const ResNetConfig& config)
      : conv1(in, width, 3, random, {.stride = stride, .padding = 1, .bias = config.conv_bias}),
        bn1(width, norm(config, true)),
        conv2(width, width, 3, random, {.padding = 1, .bias = config.conv_bias}),
        bn2(width, norm(config, true)) {
    if (stride != 1 || in != width)
      downsample.emplace(Conv2d<T, D>(in, width, 1, random, {.stride = stride, .bias = config.conv_bias}),
                         BatchNorm2d<T, D>(width, norm(config, false)));
  }

  Variable<T, D> operator()(const Variable<T, D>& x) {
    const auto y = conv2(bn1(conv1(x)));
    return bn2(y, downsample ? (*downsample)(x) : x);
  }

  template <class Visitor>
  void visit(Visitor&& v) {
    v("conv1", conv1);
    v("bn1", bn1);
    v("conv2", conv2);
    v("bn2", bn2);
    v("downsample", downsample);
  }

 private:
  static BatchNorm2dConfig norm(const ResNetConfig& c, bool relu) {
    return {.momentum = c.momentum, .eps = c.eps, .relu = relu};
  }
};

/// ResNet-18 without its classifier: [N, 3, H, W] -> [N, 512]. Parameters carry torchvision's names.
/// `config.stride_on_first` means nothing here. 11,186,112 parameters and running statistics in torchvision's
/// form.
template <FloatingElement T = float, class D = Cpu>
struct ResNet18 {
  using parameter_type = Variable<parameter_t<T>, D>;
  static constexpr const char* name = "resnet18";
  static constexpr std::int64_t features = 512;

  Conv2d<T, D> conv1;
  BatchNorm2d<T, D> bn1;
  MaxPool2d pool{{.kernel = 3, .stride = 2, .padding = 1}};
  std::vector<BasicBlock<T, D>> layer1, layer2, layer3, layer4;

  explicit ResNet18(RandomStream& random, const ResNetConfig& config = ResNetConfig::torchvision())
      : conv1(3, 64, 7, random, {.stride = 2, .padding = 3, .bias = config.conv_bias}),
        bn1(64, {.momentum = config.momentum, .eps = config.eps, .relu = true}) {
    std::int64_t in = 64;
    const auto stage = [&](std::vector<BasicBlock<T, D>>& blocks, std::int64_t width, std::int64_t stride) {
      blocks.emplace_back(in, width, stride, random, config);
      blocks.emplace_back(width, width, 1, random, config);
      in = width;
    };
    stage(layer1, 64, 1);
    stage(layer2, 128, 2);
    stage(layer3, 256, 2);
    stage(layer4, 512, 2);
  }

  Variable<T, D> operator()(const Variable<T, D>& x) {
    auto y = pool(bn1(conv1(x)));
    for (auto* stage : {&layer1, &layer2, &layer3, &layer4})
      for (auto& block : *stage) y = block(y);
    return global_avg_pool(y);
  }

  template <class Visitor>
  void visit(Visitor&& v) {
    v("conv1", conv1);
    v("bn1", bn1);
    v("layer1", layer1);
    v("layer2", layer2);
    v("layer3", layer3);
    v("layer4", layer4);
  }
};

}  // namespace kfer::models
