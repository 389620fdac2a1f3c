// ResNet-18 (He et al., "Deep Residual Learning for Image Recognition", CVPR 2016) as torchvision has it.
#pragma once

#include "kfer/models/resnet.hpp"

namespace kfer::models {

/// Two 3x3 convolutions, each with batch norm; ReLU after the sum with the shortcut.
template <FloatingElement T = float, class D = Cpu>
struct BasicBlock {
  using value_type = T;
  using device_type = D;
  using parameter_type = Variable<parameter_t<T>, D>;
  static constexpr std::int64_t expansion = 1;

  ConvBatchNorm2d<T, D> first, second;
  ResNetShortcut<T, D> downsample;

  BasicBlock(std::int64_t in, std::int64_t width, std::int64_t stride, RandomStream& random,
             const ResNetConfig& config)
      : first(in, width, 3, random, {.stride = stride, .padding = 1, .bias = config.conv_bias},
              config.norm(true)),
        second(width, width, 3, random, {.padding = 1, .bias = config.conv_bias}, config.norm(true)),
        downsample(resnet_shortcut<T, D>(in, width, stride, random, config)) {}

  Variable<T, D> operator()(const Variable<T, D>& x) {
    return second(first(x), downsample ? (*downsample)(x) : x);
  }

  template <class Visitor>
  void visit(Visitor&& v) {
    v({"conv1", "bn1"}, first);
    v({"conv2", "bn2"}, second);
    v("downsample", downsample);
  }
};

/// ResNet-18 without its classifier: [N, 3, H, W] -> [N, 512]. `config.stride_on_first` means nothing here.
/// 11,186,112 parameters and running statistics in torchvision's form.
template <FloatingElement T = float, class D = Cpu>
struct ResNet18 : ResNetTrunk<BasicBlock<T, D>> {
  static constexpr const char* name = "resnet18";
  explicit ResNet18(RandomStream& random, const ResNetConfig& config = ResNetConfig::torchvision())
      : ResNetTrunk<BasicBlock<T, D>>({2, 2, 2, 2}, random, config) {}
};

}  // namespace kfer::models
