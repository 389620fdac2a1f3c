// The nearest-neighbour upsampling that ships: vectors of channels in NHWC.
#pragma once

#include "../common/specialise.cuh"
#include "2_channel_vectors.cuh"

KFER_KERNELS_BEGIN

/// y[n, i, j, c] = x[n, i / scale, j / scale, c], plus add, of y's shape, unless it is null.
/// x: [images, height, width, channels].
template <class T>
void upsample_forward(const T* x, const T* add, T* y, long long images, long long height, long long width,
                      long long channels, long long scale, Stream stream) {
  const long long pixels = images * height * width * scale * scale;
  with_row_vectors<T>(
      pixels, channels,
      [&](auto vector, auto zero, long long groups) {
        using Index = decltype(zero);
        launch(upsample_channels<T, vector, Index>, dim3(grid_blocks(pixels * groups, 256)), dim3(256), 0,
               stream, x, add, y, Nhwc<Index>(height * scale, width * scale, groups), Divider<Index>(scale),
               height, width, groups, static_cast<Index>(pixels * groups));
      },
      x, add, y);
}

/// dx = the sum of dy over the scale x scale pixels that each pixel was copied to; sizes of dx.
template <class T>
void upsample_backward(const T* dy, T* dx, long long images, long long height, long long width,
                       long long channels, long long scale, Stream stream) {
  with_row_vectors<T>(
      images * height * width, channels,
      [&](auto vector, auto zero, long long groups) {
        using Index = decltype(zero);
        const long long items = images * height * width * groups;
        launch(scale == 2 ? upsample_channels_backward<2, T, vector, Index>
                          : upsample_channels_backward<0, T, vector, Index>,
               dim3(grid_blocks(items, 256)), dim3(256), 0, stream, dy, dx,
               Nhwc<Index>(height, width, groups), static_cast<int>(scale), height, width, groups,
               static_cast<Index>(items));
      },
      dy, dx);
}

KFER_KERNELS_END
