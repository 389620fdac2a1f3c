// The conversion of images that ships: 2_vectorised for 1 or 3 channels, plain or padded to 8; 1_naive for
// others.
#pragma once

#include "1_naive.cuh"
#include "2_vectorised.cuh"

KFER_KERNELS_BEGIN

/// y [images, height, width, padded] = (x scale - mean[c]) / deviation[c] of bytes x [images, height, width,
/// channels]; channels past `channels` are zero. `flip` (or null): a byte for each image, not 0 to mirror it
/// left to right.
template <class T>
void images_to_nhwc(const unsigned char* x, T* y, const ImageBatch& batch, const Normalisation& normalisation,
                    const unsigned char* flip, Stream stream) {
  (images_to_nhwc_vectorises(batch) ? images_to_nhwc_vectorised<T>
                                    : images_to_nhwc_naive<T>)(x, y, batch, normalisation, flip, stream);
}

KFER_KERNELS_END
