// The convolutional autoencoder of the K-drama experiments, and the classifier built on it (Cho et al.,
// "Multi-label Facial Emotion Recognition Using Korean Drama Video Clips", BigComp 2022).
#pragma once

#include "kfer/nn/nn.hpp"

namespace kfer::models {

/// Three times convolution, ReLU, 2x2 max pooling: [N, 3, H, W] -> [N, 32, H / 8, W / 8].
template <FloatingElement T = float, class D = Cpu>
struct AutoencoderEncoder {
  using parameter_type = Variable<parameter_t<T>, D>;

  Conv2d<T, D> conv1, conv2, conv3;
  MaxPool2d pool{{.kernel = 2, .stride = 2}};

  explicit AutoencoderEncoder(RandomStream& random)
      : conv1(3, 32, 3, random, {.padding = 1, .relu = true}),
        conv2(32, 32, 3, random, {.padding = 1, .relu = true}),
        conv3(32, 32, 3, random, {.padding = 1, .relu = true}) {}

  Variable<T, D> operator()(const Variable<T, D>& x) { return pool(conv3(pool(conv2(pool(conv1(x)))))); }

  template <class Visitor>
  void visit(Visitor&& v) {
    v("conv1", conv1);
    v("conv2", conv2);
    v("conv3", conv3);
  }
};

/// Three times transposed convolution, ReLU, doubling of the map; then a convolution to 3 channels. Its
/// result is the logit of the reconstruction.
template <FloatingElement T = float, class D = Cpu>
struct AutoencoderDecoder {
  using parameter_type = Variable<parameter_t<T>, D>;

  ConvTranspose2d<T, D> conv1, conv2, conv3;
  Conv2d<T, D> conv4;
  UpsampleNearest upsample{2};

  explicit AutoencoderDecoder(RandomStream& random)
      : conv1(32, 32, 3, random, {.padding = 1, .relu = true}),
        conv2(32, 32, 3, random, {.padding = 1, .relu = true}),
        conv3(32, 32, 3, random, {.padding = 1, .relu = true}),
        conv4(32, 3, 3, random, {.padding = 1}) {}

  Variable<T, D> operator()(const Variable<T, D>& code) {
    return conv4(upsample(conv3(upsample(conv2(upsample(conv1(code)))))));
  }

  template <class Visitor>
  void visit(Visitor&& v) {
    v("conv1", conv1);
    v("conv2", conv2);
    v("conv3", conv3);
    v("conv4", conv4);
  }
};

/// 48,003 parameters. x: [N, 3, H, W] in [0, 1], H and W multiples of 8.
template <FloatingElement T = float, class D = Cpu>
struct Autoencoder {
  using parameter_type = Variable<parameter_t<T>, D>;
  static constexpr const char* name = "autoencoder";

  AutoencoderEncoder<T, D> encoder;
  AutoencoderDecoder<T, D> decoder;

  explicit Autoencoder(RandomStream& random) : encoder(random), decoder(random) {}

  /// Logits of the reconstruction: train with bce_with_logits against x itself.
  Variable<T, D> logits(const Variable<T, D>& x) { return decoder(encoder(x)); }
  /// The reconstruction, in (0, 1).
  Variable<T, D> operator()(const Variable<T, D>& x) { return sigmoid(logits(x)); }

  template <class Visitor>
  void visit(Visitor&& v) {
    v("encoder", encoder);
    v("decoder", decoder);
  }
};

/// Autoencoder, flatten, dense + ReLU, dropout 0.5, dense: [N, 3, 64, 64] -> logits [N, classes].
/// 121,779 (6 classes), 318,867 (22) or 343,539 (24) parameters.
template <FloatingElement T = float, class D = Cpu>
struct AutoencoderClassifier {
  using parameter_type = Variable<parameter_t<T>, D>;
  static constexpr const char* name = "autoencoder_classifier";

  Autoencoder<T, D> autoencoder;
  Linear<T, D> fc1;
  Dropout dropout;
  Linear<T, D> fc2;

  AutoencoderClassifier(std::int64_t classes, RandomStream& random, std::int64_t image_size = 64)
      : autoencoder(random),
        fc1(3 * image_size * image_size, classes, random, {.relu = true}),
        dropout(0.5, random),
        fc2(classes, classes, random) {}

  Variable<T, D> operator()(const Variable<T, D>& x) { return fc2(dropout(fc1(flatten(autoencoder(x))))); }

  template <class Visitor>
  void visit(Visitor&& v) {
    v("autoencoder", autoencoder);
    v("fc1", fc1);
    v("dropout", dropout);
    v("fc2", fc2);
  }
};

}  // namespace kfer::models
