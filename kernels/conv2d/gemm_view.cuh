// The three passes of a convolution as matrix products, without any matrix being built.
//
//   pass                          rows m    columns n       depth k       A(m, k)            B(n, k)
//   forward             y[m, n]   pixels    O               taps x I      patches of x       w
//   gradient of data   dx[m, n]   pixels    I               taps x O      patches of dy      w, tap by tap
//   gradient of weights dw[m, n]  O         taps x I        pixels        dy, transposed     patches of x
//
// "Patches" is the im2col matrix: row = a pixel of the result, column = a (tap, channel), element = what that
// tap of the kernel sees there. Stored, it would be KH KW times the tensor; here it is index arithmetic,
// split in three so that a kernel does each part as rarely as it can: what a pixel gives, what a column
// gives, and their meeting (`at`), which is two additions, a bounds check for the padding, and one address.
//
// An operand has rows (m or n) and a depth (k). `along_depth` says which of the two runs along memory, so
// which way vectors of channels lie.
#pragma once

#include "../common/divide.cuh"
#include "../common/grid.cuh"
#include "../common/vec.cuh"
#include "shape.cuh"

KFER_KERNELS_BEGIN

/// A grid of pixels in every image of a batch, counted row by row: pixel i -> (image, row, column).
template <class Divisor>
struct PixelGrid {
  Divisor rows, columns;

  struct Position {
    int image, row, column;
  };
  __host__ __device__ Position of(int i) const {
    Position at;
    at.image = rows.divide(columns.divide(i, at.column), at.row);
    return at;
  }
};

/// The im2col matrix of an NHWC tensor. Pixel (i, j) and tap (u, v) meet at row origin + i pixel_step + u
/// tap_step of the image, and likewise the column; outside the image there are zeros.
template <class T, class Divisor>
struct Patches {
  using value_type = T;
  const T* data;
  int height, width, channels;
  int origin_row, origin_column, pixel_row, pixel_column, tap_row, tap_column;
  PixelGrid<Divisor> pixels;
  Divisor group_channels, tap_columns;

  struct Pixel {
    long long image;
    int row, column;
  };
  struct Column {
    int row, column, channel;
  };
  __host__ __device__ Pixel pixel(int i) const {
    const auto at = pixels.of(i);
    return {static_cast<long long>(at.image) * (height * width) * channels, origin_row + at.row * pixel_row,
            origin_column + at.column * pixel_column};
  }
  __host__ __device__ Column column(int j) const {
    int channel, v;
    const int u = tap_columns.divide(group_channels.divide(j, channel), v);
    return {u * tap_row, v * tap_column, channel};
  }
  /// Null in the padding.
  __host__ __device__ const T* at(const Pixel& p, const Column& c) const {
    const int row = p.row + c.row, col = p.column + c.column;
    const bool inside = static_cast<unsigned>(row) < static_cast<unsigned>(height) &&
                        static_cast<unsigned>(col) < static_cast<unsigned>(width);
    return inside ? data + p.image + ((row * width + col) * channels + c.channel) : nullptr;
  }
  __host__ __device__ const T* at(const Column& c, const Pixel& p) const { return at(p, c); }
  __host__ __device__ const T* base() const { return data; }
  __host__ __device__ void to_group(int g) { data += g * group_channels.value; }
};

/// Patches with pixels as rows: A of the forward pass and of the gradient of the data.
template <class T, class Divisor>
struct PatchRows : Patches<T, Divisor> {
  static constexpr bool along_depth = true;
  using Row = typename Patches<T, Divisor>::Pixel;
  using Depth = typename Patches<T, Divisor>::Column;
  __host__ __device__ Row row(int m) const { return this->pixel(m); }
  __host__ __device__ Depth depth(int k) const { return this->column(k); }
};

/// Patches with (tap, channel) as rows and pixels as depth: B of the gradient of the weights.
template <class T, class Divisor>
struct PatchColumns : Patches<T, Divisor> {
  static constexpr bool along_depth = false;
  using Row = typename Patches<T, Divisor>::Column;
  using Depth = typename Patches<T, Divisor>::Pixel;
  __host__ __device__ Row row(int n) const { return this->column(n); }
  __host__ __device__ Depth depth(int k) const { return this->pixel(k); }
};

/// Element (r, k) at r stride + k, or at k stride + r.
template <class T, bool AlongDepth>
struct Matrix {
  using value_type = T;
  static constexpr bool along_depth = AlongDepth;
  const T* data;
  long long stride, group_step;
  using Row = int;
  using Depth = int;
  __host__ __device__ Row row(int r) const { return r; }
  __host__ __device__ Depth depth(int k) const { return k; }
  __host__ __device__ const T* at(int r, int k) const {
    return data + (AlongDepth ? r * stride + k : k * stride + r);
  }
  __host__ __device__ const T* base() const { return data; }
  __host__ __device__ void to_group(int g) { data += g * group_step; }
};

/// The weights as the gradient of the data sees them: row = input channel, depth = (tap, output channel), of
/// every tap_row-th row and tap_column-th column of the kernel.
template <class T, class Divisor>
struct TapWeights {
  using value_type = T;
  static constexpr bool along_depth = false;
  const T* data;  // at the first tap
  int filter, tap_row, tap_column;
  long long group_step;
  Divisor out_channels, tap_columns;
  using Row = int;
  using Depth = int;  // an offset into the weights
  __host__ __device__ Row row(int c) const { return c; }
  __host__ __device__ Depth depth(int k) const {
    int channel, v;
    const int u = tap_columns.divide(out_channels.divide(k, channel), v);
    return channel * filter + u * tap_row + v * tap_column;
  }
  __host__ __device__ const T* at(int c, int d) const { return data + (d + c); }
  __host__ __device__ const T* base() const { return data; }
  __host__ __device__ void to_group(int g) { data += g * group_step; }
};

/// A result whose rows are pixels of an NHWC tensor: y, or every stride-th row and column of dx.
template <class T, class Divisor>
struct PixelResult {
  using Acc = accum_t<T>;
  T* data;
  const T* bias;  // or null
  bool relu;
  int height, width, channels, group_channels;
  int origin_row, origin_column, pixel_row, pixel_column;
  PixelGrid<Divisor> pixels;

  using value_type = T;
  __host__ __device__ T* row(int m) const {
    const auto at = pixels.of(m);
    const int row = origin_row + at.row * pixel_row, col = origin_column + at.column * pixel_column;
    return data + static_cast<long long>(at.image) * (height * width) * channels +
           (row * width + col) * channels;
  }
  /// The value that is stored for sum `a` in column n.
  __host__ __device__ T value(Acc a, int n) const {
    if (bias) a += widen(bias[n]);
    return narrow<T>(relu && a < Acc(0) ? Acc(0) : a);
  }
  __host__ __device__ void to_group(int g, int) {
    data += g * group_channels;
    if (bias) bias += g * group_channels;
  }
};

/// Partial sums of dw, one array a split of the depth.
template <class Acc>
struct PartialResult {
  using value_type = Acc;
  Acc* data;
  long long stride, group_step, split_step;
  __host__ __device__ Acc* row(int m) const { return data + m * stride; }
  __host__ __device__ Acc value(Acc a, int) const { return a; }
  __host__ __device__ void to_group(int g, int split) { data += g * group_step + split * split_step; }
};

/// A pass as a matrix product for every group, its depth cut into `splits` pieces of `split_depth`.
template <class A, class B, class Result>
struct ConvGemm {
  using T = typename A::value_type;
  using Acc = accum_t<T>;
  A a;
  B b;
  Result result;
  int m, n, k, groups, splits, split_depth;

  long long blocks(int tile_m, int tile_n) const {
    return div_up(m, tile_m) * div_up(n, tile_n) * groups * splits;
  }
};

/// What a block computes: a tile of one group's result, over the depth [begin, end).
struct ConvBlock {
  int m, n, begin, end;
};

/// Moves the operands to this block's group and says where its tile lies. Blocks count columns first, so that
/// those that run together read the same pixels; the weights stay in the L2 cache anyway.
template <int TileM, int TileN, class Gemm>
__device__ inline ConvBlock enter_block(Gemm& gemm) {
  const auto columns = static_cast<unsigned>(div_up(gemm.n, TileN)),
             rows = static_cast<unsigned>(div_up(gemm.m, TileM));
  unsigned id = blockIdx.x;
  const int n = static_cast<int>(id % columns) * TileN;
  id /= columns;
  const int m = static_cast<int>(id % rows) * TileM;
  id /= rows;
  const int group = static_cast<int>(id) % gemm.groups, split = static_cast<int>(id) / gemm.groups;
  gemm.a.to_group(group);
  gemm.b.to_group(group);
  gemm.result.to_group(group, split);
  const int begin = split * gemm.split_depth;
  return {m, n, begin, gemm.k - begin < gemm.split_depth ? gemm.k : begin + gemm.split_depth};
}

/// A block of Tile::threads for each tile of the result.
template <class Tile, class Gemm>
void launch_tiles(void (*kernel)(Gemm), const Gemm& gemm, Stream stream, int shared_bytes = 0) {
  launch(kernel, dim3(static_cast<unsigned>(gemm.blocks(Tile::m, Tile::n))), dim3(Tile::threads),
         shared_bytes, stream, gemm);
}

/// y = x * w.
template <class Divisor, class T>
auto forward_gemm(const ConvShape& s, const T* x, const T* w, const T* bias, bool relu, T* y) {
  const PixelGrid<Divisor> pixels{Divisor(s.out_height), Divisor(s.out_width)};
  using A = PatchRows<T, Divisor>;
  using B = Matrix<T, true>;
  using R = PixelResult<T, Divisor>;
  return ConvGemm<A, B, R>{
      {{x, s.height, s.width, s.in_channels, -s.padding_height, -s.padding_width, s.stride_height,
        s.stride_width, s.dilation_height, s.dilation_width, pixels, Divisor(s.group_in()),
        Divisor(s.kernel_width)}},
      {w, s.filter(), static_cast<long long>(s.group_out()) * s.filter()},
      {y, bias, relu, s.out_height, s.out_width, s.out_channels, s.group_out(), 0, 0, 1, 1, pixels},
      s.out_pixels(),
      s.group_out(),
      s.filter(),
      s.groups,
      1,
      s.filter()};
}

/// One axis of the gradient of the data: the pixels first, first + stride, ... and the taps that reach them.
/// Row h gets tap u from row p = (h + padding - u dilation) / stride of dy, if that is whole; so the residue
/// of h + padding decides about the taps, and inside its class no product is wasted and none is tested for.
/// With h = first + i stride and u = first_tap + t tap_step, p = origin + i + t dy_step: a convolution of
/// stride 1 again.
struct ResidueClass {
  int first, count, first_tap, taps, tap_step, origin, dy_step;

  static ResidueClass of(int first, int extent, int kernel, int stride, int padding, int dilation) {
    ResidueClass c{};
    c.first = first;
    c.count = (extent - first - 1) / stride + 1;
    const int residue = (first + padding) % stride;
    while (c.first_tap < kernel && (c.first_tap * dilation - residue) % stride != 0) ++c.first_tap;
    c.tap_step = 1;  // the least with tap_step dilation % stride == 0, if below the kernel
    while (c.tap_step < kernel && c.tap_step * dilation % stride != 0) ++c.tap_step;
    c.taps = (kernel - c.first_tap + c.tap_step - 1) / c.tap_step;
    if (!c.taps) c.first_tap = 0;
    c.origin = c.taps ? (first + padding - c.first_tap * dilation) / stride : 0;
    c.dy_step = -(c.tap_step * dilation / stride);
    return c;
  }
};

/// dx of the pixels (row + i stride, column + j stride), row and column below the strides and inside the
/// image.
template <class Divisor, class T>
auto data_gemm(const ConvShape& s, int row, int column, const T* w, const T* dy, T* dx) {
  const auto h =
      ResidueClass::of(row, s.height, s.kernel_height, s.stride_height, s.padding_height, s.dilation_height);
  const auto v =
      ResidueClass::of(column, s.width, s.kernel_width, s.stride_width, s.padding_width, s.dilation_width);
  const PixelGrid<Divisor> pixels{Divisor(h.count), Divisor(v.count)};
  using A = PatchRows<T, Divisor>;
  using B = TapWeights<T, Divisor>;
  using R = PixelResult<T, Divisor>;
  const int depth = h.taps * v.taps * s.group_out();
  return ConvGemm<A, B, R>{
      {{dy, s.out_height, s.out_width, s.out_channels, h.origin, v.origin, 1, 1, h.dy_step, v.dy_step, pixels,
        Divisor(s.group_out()), Divisor(v.taps)}},
      {w + (h.first_tap * s.kernel_width + v.first_tap) * s.group_in(), s.filter(),
       h.tap_step * s.kernel_width * s.group_in(), v.tap_step * s.group_in(),
       static_cast<long long>(s.group_out()) * s.filter(), Divisor(s.group_out()), Divisor(v.taps)},
      {dx, nullptr, false, s.height, s.width, s.in_channels, s.group_in(), h.first, v.first, s.stride_height,
       s.stride_width, pixels},
      s.batch * h.count * v.count,
      s.group_in(),
      depth,
      s.groups,
      1,
      depth};
}

/// dw, or its partial sums over `splits` pieces of the pixels.
template <class Divisor, class T>
auto weights_gemm(const ConvShape& s, const T* x, const T* dy, accum_t<T>* partial, int splits,
                  int split_depth) {
  const PixelGrid<Divisor> pixels{Divisor(s.out_height), Divisor(s.out_width)};
  using A = Matrix<T, false>;
  using B = PatchColumns<T, Divisor>;
  using R = PartialResult<accum_t<T>>;
  return ConvGemm<A, B, R>{
      {dy, s.out_channels, s.group_out()},
      {{x, s.height, s.width, s.in_channels, -s.padding_height, -s.padding_width, s.stride_height,
        s.stride_width, s.dilation_height, s.dilation_width, pixels, Divisor(s.group_in()),
        Divisor(s.kernel_width)}},
      {partial, s.filter(), static_cast<long long>(s.group_out()) * s.filter(), s.weights()},
      s.group_out(),
      s.filter(),
      s.out_pixels(),
      s.groups,
      splits,
      split_depth};
}

KFER_KERNELS_END
