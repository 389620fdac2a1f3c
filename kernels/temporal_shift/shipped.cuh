// The temporal shift that ships: vectors of channels in NHWC.
#pragma once

#include "../common/specialise.cuh"
#include "2_channel_vectors.cuh"

KFER_KERNELS_BEGIN

/// y[t] = x[t + step] in the first `fold` channels, x[t - step] in the next `fold`, x[t] in the rest; zero
/// where clip ends. x: [frames, pixels, channels], clips of `segments` frames one after the other. step: 1
/// forward, -1 backward.
template <class T>
void temporal_shift(const T* x, T* y, long long frames, long long pixels, long long channels,
                    long long segments, long long fold, int step, Stream stream) {
  with_row_vectors<T>(
      frames * pixels, channels,
      [&](auto width, auto zero, long long groups) {
        using Index = decltype(zero);
        const long long items = frames * pixels * groups;
        launch(temporal_shift_channels<T, width, Index>, dim3(grid_blocks(items, 256)), dim3(256), 0, stream,
               x, y, Nhwc<Index>(1, pixels, groups), Divider<Index>(segments), pixels * channels, fold, step,
               static_cast<Index>(items));
      },
      x, y);
}

KFER_KERNELS_END
