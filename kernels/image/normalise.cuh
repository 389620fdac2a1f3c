// Bytes of images to numbers: y = (x scale - mean[c]) / deviation[c].
#pragma once

#include "../common/bf16.cuh"

KFER_KERNELS_BEGIN

/// A batch of [height, width, channels] images of bytes, and the [height, width, padded] numbers that they
/// become. height * width * padded < 2^31.
struct ImageBatch {
  long long images;
  int height, width;
  int channels;  ///< 1 to 4
  int padded;    ///< channels of the result, >= channels; those past `channels` are zero

  __host__ __device__ long long pixels() const { return static_cast<long long>(height) * width; }
};

/// As one multiplication and one addition a number: y = x factor[c] + shift[c].
struct Normalisation {
  float factor[4], shift[4];

  /// `scale`: 1 / 255 takes bytes to [0, 1]. `mean` and `deviation`: one for each channel, of the scaled
  /// numbers.
  static Normalisation of(double scale, const float (&mean)[4], const float (&deviation)[4]) {
    Normalisation n;
    for (int c = 0; c < 4; ++c) {
      n.factor[c] = static_cast<float>(scale / static_cast<double>(deviation[c]));
      n.shift[c] = -mean[c] / deviation[c];
    }
    return n;
  }
};

KFER_KERNELS_END
