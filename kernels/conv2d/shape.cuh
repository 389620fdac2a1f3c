// The sizes of a 2-D convolution as its kernels take them, and the memory orders that they agree on:
// activations x [N, H, W, I] and y [N, P, Q, O] with the channels last, weights [O, KH, KW, I / groups].
#pragma once

#include "../common/device.cuh"

KFER_KERNELS_BEGIN

/// y[n, p, q, o] = sum over u, v, c of x[n, p stride + u dilation - padding, ..., c] w[o, u, v, c], where c
/// runs over the channels of o's group. Pixels of the whole batch, elements of one image and elements of the
/// weights number at most `limit` each; tensors may be larger.
struct ConvShape {
  static constexpr int limit = 0x7FFFFFFF - 1023;  ///< 2^31 and a tile's width to spare

  int batch, height, width, in_channels;
  int out_height, out_width, out_channels;
  int kernel_height, kernel_width;
  int stride_height = 1, stride_width = 1;
  int padding_height = 0, padding_width = 0;
  int dilation_height = 1, dilation_width = 1;
  int groups = 1;

  __host__ __device__ int group_in() const { return in_channels / groups; }
  __host__ __device__ int group_out() const { return out_channels / groups; }
  __host__ __device__ int taps() const { return kernel_height * kernel_width; }
  __host__ __device__ int in_pixels() const { return batch * height * width; }
  __host__ __device__ int out_pixels() const { return batch * out_height * out_width; }
  /// Elements of one output channel's weights.
  __host__ __device__ int filter() const { return taps() * group_in(); }
  __host__ __device__ long long weights() const { return static_cast<long long>(out_channels) * filter(); }
};

KFER_KERNELS_END
