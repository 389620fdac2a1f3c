// Winograd convolution on the Cpu: forward, backward data and backward weights; float32, stride 1.
//
// Activations are channel-blocked, nChw{B}c: element (n, c, h, w) lies at
//   (((n * C/B + c/B) * H + h) * W + w) * B + c%B.
// A pass cuts the output into tiles of M x M, numbers them through all images, and works on blocks of tiles:
//   1. input transform    V[f], tile x C, from the T x T inputs of every tile, for T x T frequencies f
//   2. product            D[f] = V[f] U[f], tile x K, where U[f], C x K, are the transformed weights
//   3. output transform   M x M outputs of every tile from D, with bias and epilogue
// with T = M + R - 1. Blocks of tiles are spread over the threads, each with buffers that fit its cache.
// Where there are few tiles and many channels (the late layers of a ResNet), all tiles form one block and
// threads share the output channels: a panel of weights is transformed right before its products, and never
// leaves the cache.
//
// Relative rms error of y, and of dw, against a direct convolution in double (uniform data, 64 channels):
//   F(2x2,3x3) 3e-7, 4e-7   F(4x4,3x3) 2e-6, 2e-6   F(6x6,3x3) 3e-6, 3e-6
//   F(2x2,5x5) 2e-6, 2e-6   F(4x4,5x5) 3e-6, 3e-6   largest error 4e-5 of the rms value
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <type_traits>
#include <utility>

#include "kfer/core/error.hpp"
#include "kfer/core/parallel.hpp"
#include "kfer/core/simd.hpp"
#include "kfer/ops/conv2d/winograd_gemm.hpp"
#include "kfer/ops/conv2d/winograd_shape.hpp"
#include "kfer/ops/conv2d/winograd_transforms.hpp"

namespace kfer::winograd {

inline constexpr int max_kernel = 5;
inline constexpr float infinity = std::numeric_limits<float>::infinity();

// ---- what a pass reads and writes besides tiles: sources, weights, epilogues ----

/// Reads activations: the B values at element offset `i`. Any type with this call operator serves.
template <int B>
struct Load {
  const float* data;
  simd_f32<B> operator()(std::int64_t i) const { return simd_load<B>(data + i); }
};

/// Reads dy through the gradient of ReLU, and of dropout after it: scale * dy where y > 0, else 0. `y` is the
/// saved output, in dy's layout; `scale` is 1 / (1 - p) of the dropout, or 1.
template <int B>
struct LoadThroughRelu {
  const float *dy, *y;
  float scale = 1;
  simd_f32<B> operator()(std::int64_t i) const {
    return simd_select<B>(simd_load<B>(y + i) > simd_f32<B>{}, scale * simd_load<B>(dy + i), simd_f32<B>{});
  }
};

/// Where a vector of B output channels goes: image, channel block, row, column, and element offset.
struct OutputPoint {
  std::int64_t image, channel_block, row, column, offset;
};

/// Epilogues take the convolution plus bias and give what is stored.
struct Identity {
  template <class V>
  V operator()(V value, const OutputPoint&) const {
    return value;
  }
};
/// max(0, value); NaN stays NaN.
struct Relu {
  template <class V>
  V operator()(V value, const OutputPoint&) const {
    return V{} > value ? V{} : value;
  }
};
/// Adds to what `data` (which may be the output itself) holds; the sum becomes `least` where it is less: 0
/// makes this a ReLU.
template <int B>
struct AddTo {
  const float* data;
  float least = -infinity;
  simd_f32<B> operator()(simd_f32<B> value, const OutputPoint& at) const {
    const simd_f32<B> sum = value + simd_load<B>(data + at.offset), floor = simd_f32<B>{} + least;
    return floor > sum ? floor : sum;
  }
};

// ---- weights
// ---------------------------------------------------------------------------------------------------
//
// Weights are read and written in blocks of B output by B input channels, [tap][B inputs][B outputs] with one
// tap a kernel position: the memory of OIhw{B}i{B}o as it is. Plain OIHW is permuted block by block.

namespace detail {

/// Transposes B rows of B floats: exchanges off-diagonal squares of size 1, 2, 4, ...
template <int B, int Size = 1>
[[gnu::always_inline]] inline void transpose(simd_f32<B>* rows) {
  unrolled<B>([&](auto i) __attribute__((always_inline)) {
    if constexpr ((i & Size) == 0) {
      const simd_f32<B> a = rows[i], b = rows[i + Size];
      [&]<int... Lane>(std::integer_sequence<int, Lane...>) __attribute__((always_inline)) {
        rows[i] = __builtin_shufflevector(a, b, ((Lane & Size) == 0 ? Lane : B + Lane - Size)...);
        rows[i + Size] = __builtin_shufflevector(a, b, ((Lane & Size) == 0 ? Lane + Size : B + Lane)...);
      }
      (std::make_integer_sequence<int, B>{});
    }
  });
  if constexpr (2 * Size < B) transpose<B, 2 * Size>(rows);
}

}  // namespace detail

/// Weights in oneDNN's blocked order OIhw{B}i{B}o. T is `const float` to read, `float` to write.
template <int B, class T = const float>
struct BlockedWeights {
  T* data;

  /// The block of output channels o B ... and input channels i B ...; `scratch` (kernel^2 B^2 floats) may
  /// hold it.
  const float* block(const ConvShape& s, std::int64_t o, std::int64_t i, float*) const {
    return data + at(s, o, i);
  }
  /// Where to write a block, and what to do once it is written.
  float* open(const ConvShape& s, std::int64_t o, std::int64_t i, float*) const { return data + at(s, o, i); }
  void close(const ConvShape&, std::int64_t, std::int64_t, const float*) const {}

 private:
  static std::int64_t at(const ConvShape& s, std::int64_t o, std::int64_t i) {
    return (o * (s.in_channels / B) + i) * s.kernel * s.kernel * B * B;
  }
};

/// Weights in plain OIHW order. T is `const float` to read, `float` to write.
template <int B, class T = const float>
struct OihwWeights {
  T* data;

  [[gnu::flatten]] const float* block(const ConvShape& s, std::int64_t o, std::int64_t i,
                                      float* scratch) const {
    for_each_square(s, o, i, [&](const T* from, std::int64_t row, const std::int64_t* to) {
      simd_f32<B> square[B];
      unrolled<B>([&](auto k) { square[k] = simd_load<B>(from + k * row); });
      detail::transpose<B>(square);
      unrolled<B>([&](auto k) { simd_store<B>(scratch + to[k], square[k]); });
    });
    return scratch;
  }
  float* open(const ConvShape&, std::int64_t, std::int64_t, float* scratch) const { return scratch; }
  [[gnu::flatten]] void close(const ConvShape& s, std::int64_t o, std::int64_t i, const float* block) const {
    for_each_square(s, o, i, [&](T* to, std::int64_t row, const std::int64_t* from) {
      simd_f32<B> square[B];
      unrolled<B>([&](auto k) { square[k] = simd_load<B>(block + from[k]); });
      detail::transpose<B>(square);
      unrolled<B>([&](auto k) { simd_store<B>(to + k * row, square[k]); });
    });
  }

 private:
  /// The inputs and taps of one output channel are contiguous: B of them, of B outputs, make a square.
  template <class F>
  void for_each_square(const ConvShape& s, std::int64_t o, std::int64_t i, const F& f) const {
    const std::int64_t taps = s.kernel * s.kernel, row = s.in_channels * taps;
    T* const corner = data + o * B * row + i * B * taps;
    std::int64_t in_block[B];
    for (std::int64_t first = 0; first < B * taps; first += B) {
      for (int k = 0; k < B; ++k) in_block[k] = ((first + k) % taps * B + (first + k) / taps) * B;
      f(corner + first, row, in_block);
    }
  }
};

/// The weights of the transposed convolution: rotated by 180 degrees, inputs and outputs exchanged.
template <int B, class Weights>
struct RotatedWeights {
  Weights weights;

  [[gnu::flatten]] const float* block(const ConvShape& s, std::int64_t o, std::int64_t i,
                                      float* scratch) const {
    alignas(64) float unrotated[max_kernel * max_kernel * B * B];
    const float* from = weights.block(s.transposed(), i, o, unrotated);
    for (std::int64_t tap = s.kernel * s.kernel - 1; tap >= 0; --tap, from += B * B) {
      simd_f32<B> square[B];
      unrolled<B>([&](auto k) { square[k] = simd_load<B>(from + k * B); });
      detail::transpose<B>(square);
      unrolled<B>([&](auto k) { simd_store<B>(scratch + tap * B * B + k * B, square[k]); });
    }
    return scratch;
  }
};

/// Weights that `transform_weights` has transformed for a pass.
struct TransformedWeights {
  const float* data;
};

// ---- the passes ----

namespace detail {

inline constexpr std::int64_t line = 16;  // floats in a cache line; also the skew of matrices in sequence,
                                          // whose distance would else be a power of two and share cache sets

inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

/// Hands out parts of the workspace, aligned to cache lines.
class Workspace {
 public:
  explicit Workspace(float* begin)
      : next_(reinterpret_cast<float*>((reinterpret_cast<std::uintptr_t>(begin) + 63) / 64 * 64)) {}
  float* take(std::int64_t floats) {
    float* const part = next_;
    next_ += floats;
    return part;
  }

 private:
  float* next_;
};

/// The tiles of Size x Size pixels that cover the maps of a batch, numbered image by image, row by row.
template <int Size>
struct TileGrid {
  std::int64_t rows, columns, count;

  TileGrid(std::int64_t batch, std::int64_t height, std::int64_t width)
      : rows(ceil_div(height, Size)), columns(ceil_div(width, Size)), count(batch * rows * columns) {}

  struct Tile {
    std::int64_t image, row, column;  // row and column of its first pixel
  };
  Tile operator[](std::int64_t i) const {
    const std::int64_t in_image = i % (rows * columns);
    return {i / (rows * columns), in_image / columns * Size, in_image % columns * Size};
  }
};

template <int M, int R, int B>
struct Passes {
  using V = simd_f32<B>;
  using Forward = Transforms<M, R>;
  using Gradient = Transforms<R, M>;  // of the weights: R x R outputs from M x M taps, on the same tiles
  using Registers = RegisterTile<B>;
  static constexpr int T = M + R - 1, F = T * T;

  static void check(const ConvShape& s) {
    require<ShapeError>(s.kernel == R, "winograd: kernel is ", s.kernel, " x ", s.kernel, ", this is F(", M,
                        ", ", R, ")");
    require<ShapeError>(s.padding >= 0 && s.padding < R, "winograd: padding must be 0 to ", R - 1, ", got ",
                        s.padding);
    require<ShapeError>(
        s.in_channels > 0 && s.out_channels > 0 && s.in_channels % B == 0 && s.out_channels % B == 0,
        "winograd: channels must be multiples of ", B, ", got ", s.in_channels, " -> ", s.out_channels);
    require<ShapeError>(
        s.batch >= 0 && s.height > 0 && s.width > 0 && s.out_height() > 0 && s.out_width() > 0,
        "winograd: batch ", s.batch, " of ", s.height, " x ", s.width, " maps gives no output");
  }
  static void check(const ConvShape& s, std::span<float> workspace, std::int64_t needed) {
    check(s);
    require<ValueError>(static_cast<std::int64_t>(workspace.size()) >= needed, "winograd: workspace of ",
                        needed, " floats expected, got ", workspace.size());
  }

  // Measured: the product alone does best with a third of a 1 MiB L2; sums over tiles like longer blocks.
  static constexpr std::int64_t convolve_cache = 160 * 1024, gradient_cache = 320 * 1024;
  static constexpr std::int64_t shared_most = 4 * 1024 * 1024;  // floats of all transformed tiles, for the L3
  static constexpr std::int64_t panel_cache = 96 * 1024;        // floats of a panel's weights, for the L2

  /// How the tiles of a pass are cut into blocks. `shared`: one block, on which all threads work together.
  struct Blocking {
    std::int64_t threads, tiles, block, blocks;
    bool shared;

    /// `cache`: floats that a thread's buffers may take.
    Blocking(const ConvShape& s, std::int64_t cache)
        : threads(omp_in_parallel() ? 1 : num_threads()),
          tiles(TileGrid<M>(s.batch, s.out_height(), s.out_width()).count) {
      const std::int64_t tile = F * (s.in_channels + s.out_channels);
      const std::int64_t most = std::max<std::int64_t>(1, cache / tile / Registers::tiles) * Registers::tiles;
      // If not one strip of tiles fits, blocks would read the weights more often than panels the tiles.
      const bool narrow = Registers::tiles * tile > convolve_cache && tiles * tile <= shared_most;
      shared = tiles < threads * most || narrow;
      blocks = shared ? 1 : ceil_div(ceil_div(tiles, most), threads) * threads;
      block = std::max<std::int64_t>(1, ceil_div(tiles, blocks));
      blocks = ceil_div(tiles, block);
    }
    std::int64_t begin(std::int64_t b) const { return b * block; }
    std::int64_t size(std::int64_t b) const { return std::min(tiles, (b + 1) * block) - b * block; }
  };

  static std::int64_t matrix(std::int64_t floats) { return floats + line; }

  // -- transforms of tiles --

  /// Transforms one tile of In x In pixels, zero outside of the map, into F values at distance `stride`.
  template <int In, class Source, class Transform, class Visit>
  [[gnu::noinline, gnu::flatten]] static void transform_tile(const Source& source, const Transform& transform,
                                                             std::int64_t plane, std::int64_t height,
                                                             std::int64_t width, std::int64_t y,
                                                             std::int64_t x, float* out, std::int64_t stride,
                                                             const Visit& visit) {
    const auto store = [&](int j, const V* column) {
      unrolled<T>([&](auto i) { simd_store<B>(out + (i * T + j) * stride, column[i]); });
    };
    if (y >= 0 && x >= 0 && y + In <= height && x + In <= width) {
      const std::int64_t corner = plane + (y * width + x) * B;
      transform_2d<In, T, V>(
          transform,
          [&](int i, V* row) {
            unrolled<In>([&](auto j) { visit(row[j] = source(corner + (i * width + j) * B)); });
          },
          store);
    } else {
      transform_2d<In, T, V>(
          transform,
          [&](int i, V* row) {
            const bool inside = y + i >= 0 && y + i < height;
            unrolled<In>([&](auto j) {
              row[j] = V{};
              if (inside && x + j >= 0 && x + j < width)
                visit(row[j] = source(plane + ((y + i) * width + x + j) * B));
            });
          },
          store);
    }
  }

  /// Transforms items [begin, end) of (channel block, tile) of a block of tiles of a layer's input.
  template <class Source>
  static void transform_input(const ConvShape& s, const Source& source, std::int64_t first_tile,
                              std::int64_t tiles, std::int64_t begin, std::int64_t end, float* v) {
    const TileGrid<M> grid(s.batch, s.out_height(), s.out_width());
    const std::int64_t stride = matrix(s.in_channels * tiles);
    const auto plane = [&](const auto& tile, std::int64_t item) {
      return (tile.image * (s.in_channels / B) + item / tiles) * s.height * s.width * B;
    };
    for (std::int64_t item = begin; item < end; ++item) {
      const auto tile = grid[first_tile + item % tiles];
      transform_tile<T>(
          source, [](const V* in, V* out) { Forward::input(in, out); }, plane(tile, item), s.height, s.width,
          tile.row - s.padding, tile.column - s.padding, v + item * B, stride, [](V) {});
    }
  }

  /// The same for dy as the taps of the weights' gradient; adds its pixels to `bias` [out_channels].
  template <class Source>
  static void transform_gradient(const ConvShape& s, const Source& source, std::int64_t first_tile,
                                 std::int64_t tiles, std::int64_t begin, std::int64_t end, float* v,
                                 float* bias) {
    const TileGrid<M> grid(s.batch, s.out_height(), s.out_width());
    const std::int64_t stride = matrix(s.out_channels * tiles);
    for (std::int64_t item = begin; item < end; ++item) {
      const auto tile = grid[first_tile + item % tiles];
      const std::int64_t block = item / tiles;
      const std::int64_t plane =
          (tile.image * (s.out_channels / B) + block) * s.out_height() * s.out_width() * B;
      V sum{};
      transform_tile<M>(
          source, [](const V* in, V* out) { Gradient::kernel(in, out); }, plane, s.out_height(),
          s.out_width(), tile.row, tile.column, v + item * B, stride, [&](V value) { sum += value; });
      simd_store<B>(bias + block * B, simd_load<B>(bias + block * B) + sum);
    }
  }

  /// Writes the outputs of one tile from F values at distance `stride`.
  template <class Epilogue>
  [[gnu::noinline, gnu::flatten]] static void transform_output(const ConvShape& s, const float* d,
                                                               std::int64_t stride, V bias, OutputPoint at,
                                                               float* y, const Epilogue& epilogue) {
    const std::int64_t rows = std::min<std::int64_t>(M, s.out_height() - at.row);
    const std::int64_t columns = std::min<std::int64_t>(M, s.out_width() - at.column);
    at.offset =
        (((at.image * (s.out_channels / B) + at.channel_block) * s.out_height() + at.row) * s.out_width() +
         at.column) *
        B;
    const auto load = [&](int j, V* column) {
      unrolled<T>([&](auto i) { column[i] = simd_load<B>(d + (i * T + j) * stride); });
    };
    transform_2d<T, M, V>([](const V* in, V* out) { Forward::output(in, out); }, load,
                          [&](int i, const V* row) {
                            if (i >= rows) return;
                            const auto put = [&](auto j) {
                              const OutputPoint point{at.image, at.channel_block, at.row + i, at.column + j,
                                                      at.offset + (i * s.out_width() + j) * B};
                              simd_store<B>(y + point.offset, epilogue(row[j] + bias, point));
                            };
                            if (columns == M)
                              unrolled<M>(put);
                            else
                              unrolled<M>([&](auto j) {
                                if (j < columns) put(j);
                              });
                          });
  }

  // -- weights: U[panel][f][channel][columns][B] --

  static std::int64_t panels(const ConvShape& s) { return ceil_div(s.out_channels / B, Registers::panel); }
  static std::int64_t panel_columns(const ConvShape& s, std::int64_t panel) {
    return std::min<std::int64_t>(Registers::panel, s.out_channels / B - panel * Registers::panel);
  }
  /// Distance of frequencies in a panel of `blocks` input channel blocks.
  static std::int64_t panel_stride(std::int64_t blocks) { return matrix(blocks * B * Registers::panel * B); }
  static std::int64_t panel_floats(const ConvShape& s) { return F * panel_stride(s.in_channels / B); }
  /// Input channel blocks that are transformed right before their products.
  static std::int64_t panel_part(const ConvShape& s) {
    return std::clamp<std::int64_t>(panel_cache / (F * B * Registers::panel * B), 1, s.in_channels / B);
  }

  /// Transforms one input channel block of a panel.
  template <class Weights>
  [[gnu::noinline, gnu::flatten]] static void transform_weight_block(const ConvShape& s,
                                                                     const Weights& weights,
                                                                     std::int64_t panel,
                                                                     std::int64_t in_block, float* u,
                                                                     std::int64_t stride) {
    alignas(64) float scratch[R * R * B * B];
    const std::int64_t columns = panel_columns(s, panel);
    for (std::int64_t column = 0; column < columns; ++column) {
      const float* const block = weights.block(s, panel * Registers::panel + column, in_block, scratch);
      for (int c = 0; c < B; ++c) {
        float* const to = u + (c * columns + column) * B;
        transform_2d<R, T, V>(
            [](const V* in, V* out) { Forward::kernel(in, out); },
            [&](int i, V* row) {
              unrolled<R>([&](auto j) { row[j] = simd_load<B>(block + ((i * R + j) * B + c) * B); });
            },
            [&](int j, const V* values) {
              unrolled<T>([&](auto i) { simd_store<B>(to + (i * T + j) * stride, values[i]); });
            });
      }
    }
  }

  template <class Weights>
  static void transform_weights(const ConvShape& s, const Weights& weights, float* u) {
    const std::int64_t blocks = s.in_channels / B;
    parallel_for(panels(s) * blocks, [&](std::int64_t i) {
      const std::int64_t panel = i / blocks, block = i % blocks;
      transform_weight_block(s, weights, panel, block,
                             u + panel * panel_floats(s) + block * B * panel_columns(s, panel) * B,
                             panel_stride(blocks));
    });
  }

  // -- forward, and backward data as the forward pass of the transposed shape --

  template <bool Transformed>
  static std::int64_t convolve_workspace(const ConvShape& s) {
    const Blocking b(s, convolve_cache);
    const std::int64_t v = F * matrix(s.in_channels * b.block);
    if (b.shared)
      return line + v +
             b.threads * (F * matrix(Registers::panel * B * b.block) +
                          (Transformed ? 0 : F * panel_stride(panel_part(s))));
    return line + b.threads * (v + F * matrix(s.out_channels * b.block)) +
           (Transformed ? 0 : panels(s) * panel_floats(s));
  }

  template <class Source, class Weights, class Epilogue>
  static void convolve(const ConvShape& s, const Source& x, const Weights& weights, const float* bias,
                       float* y, std::span<float> workspace, const Epilogue& epilogue) {
    constexpr bool transformed = std::is_same_v<Weights, TransformedWeights>;
    check(s, workspace, convolve_workspace<transformed>(s));
    const Blocking blocking(s, convolve_cache);
    if (blocking.tiles == 0) return;
    const TileGrid<M> grid(s.batch, s.out_height(), s.out_width());
    const std::int64_t block = blocking.block, in_blocks = s.in_channels / B, out_blocks = s.out_channels / B;
    const std::int64_t v_floats = F * matrix(s.in_channels * block);
    Workspace parts(workspace.data());

    // One panel and frequency, for `blocks` input channel blocks from `first` on, whose weights are at u. v
    // has `all` tiles, of which `tiles` are wanted.
    const auto product = [&](std::int64_t all, std::int64_t tiles, std::int64_t panel, std::int64_t f,
                             std::int64_t first, std::int64_t blocks, const float* v, const float* u,
                             float* d) {
      multiply<B>(tiles, blocks, panel_columns(s, panel),
                  v + f * matrix(s.in_channels * all) + first * all * B, all * B, u, d, tiles * B, first > 0);
    };
    const auto finish = [&](std::int64_t tile, std::int64_t channel_block, const float* d,
                            std::int64_t stride) {
      const auto at = grid[tile];
      transform_output(s, d, stride, bias ? simd_load<B>(bias + channel_block * B) : V{},
                       OutputPoint{at.image, channel_block, at.row, at.column, 0}, y, epilogue);
    };

    if (blocking.shared) {
      const std::int64_t tiles = blocking.tiles;
      float* const v = parts.take(v_floats);
      const std::int64_t d_floats = F * matrix(Registers::panel * B * tiles);
      float* const d_all = parts.take(blocking.threads * d_floats);
      float* const u_all = parts.take(0);
      parallel_ranges(in_blocks * tiles, 1, [&](int, std::int64_t begin, std::int64_t end) {
        transform_input(s, x, 0, tiles, begin, end, v);
      });
      // Threads share the panels and, if those are too few, the tiles.
      const std::int64_t groups = ceil_div(blocking.threads, panels(s));
      parallel_ranges(panels(s) * groups, 1, [&](int thread, std::int64_t begin, std::int64_t end) {
        float* const d = d_all + thread * d_floats;
        for (std::int64_t item = begin; item < end; ++item) {
          const std::int64_t panel = item / groups, columns = panel_columns(s, panel);
          const std::int64_t tile = tiles * (item % groups) / groups;
          const std::int64_t count = tiles * (item % groups + 1) / groups - tile;
          const std::int64_t stride = matrix(columns * B * count);
          const float* const v_group = v + tile * B;
          if constexpr (transformed) {
            const float* const u = weights.data + panel * panel_floats(s);
            for (int f = 0; f < F; ++f)
              product(tiles, count, panel, f, 0, in_blocks, v_group, u + f * panel_stride(in_blocks),
                      d + f * stride);
          } else {
            const std::int64_t part = panel_part(s);
            float* const u = u_all + thread * F * panel_stride(part);
            for (std::int64_t first = 0; first < in_blocks; first += part) {
              const std::int64_t blocks = std::min(part, in_blocks - first);
              for (std::int64_t i = 0; i < blocks; ++i)
                transform_weight_block(s, weights, panel, first + i, u + i * B * columns * B,
                                       panel_stride(part));
              for (int f = 0; f < F; ++f)
                product(tiles, count, panel, f, first, blocks, v_group, u + f * panel_stride(part),
                        d + f * stride);
            }
          }
          for (std::int64_t i = 0; i < columns * count; ++i)
            finish(tile + i % count, panel * Registers::panel + i / count, d + i * B, stride);
        }
      });
      return;
    }

    const std::int64_t d_floats = F * matrix(s.out_channels * block);
    float* const buffers = parts.take(blocking.threads * (v_floats + d_floats));
    const float* u;
    if constexpr (transformed) {
      u = weights.data;
    } else {
      float* const own = parts.take(0);
      transform_weights(s, weights, own);
      u = own;
    }
    parallel_ranges(blocking.blocks, 1, [&](int thread, std::int64_t begin, std::int64_t end) {
      float* const v = buffers + thread * (v_floats + d_floats);
      float* const d = v + v_floats;
      for (std::int64_t b = begin; b < end; ++b) {
        const std::int64_t first = blocking.begin(b), tiles = blocking.size(b);
        const std::int64_t stride = matrix(s.out_channels * tiles);
        transform_input(s, x, first, tiles, 0, in_blocks * tiles, v);
        for (int f = 0; f < F; ++f)
          for (std::int64_t panel = 0; panel < panels(s); ++panel)
            product(tiles, tiles, panel, f, 0, in_blocks, v,
                    u + panel * panel_floats(s) + f * panel_stride(in_blocks),
                    d + f * stride + panel * Registers::panel * B * tiles);
        for (std::int64_t item = 0; item < out_blocks * tiles; ++item)
          finish(first + item % tiles, item / tiles, d + item * B, stride);
      }
    });
  }

  // -- backward weights: sums[item][f][columns][channel][B]; an item is an input channel block by a panel --

  static std::int64_t gradient_panels(const ConvShape& s) {
    return ceil_div(s.out_channels / B, Registers::blocks);
  }
  static std::int64_t sums_stride() { return matrix(Registers::blocks * B * B); }

  static std::int64_t backward_weights_workspace(const ConvShape& s) {
    const Blocking b(s, gradient_cache);
    const std::int64_t buffers = F * (matrix(s.in_channels * b.block) + matrix(s.out_channels * b.block));
    const std::int64_t items = s.in_channels / B * gradient_panels(s);
    return line + b.threads * matrix(s.out_channels) + (b.shared ? 1 : b.threads) * buffers +
           b.threads * (b.shared ? 1 : items) * F * sums_stride();
  }

  template <class Source, class Gradient_, class WeightsOut>
  static void backward_weights(const ConvShape& s, const Source& x, const Gradient_& dy, const WeightsOut& dw,
                               float* dbias, std::span<float> workspace) {
    check(s, workspace, backward_weights_workspace(s));
    const Blocking blocking(s, gradient_cache);
    const std::int64_t in_blocks = s.in_channels / B, out_blocks = s.out_channels / B, block = blocking.block;
    const std::int64_t panels = gradient_panels(s), items = in_blocks * panels;
    const std::int64_t x_floats = F * matrix(s.in_channels * block),
                       dy_floats = F * matrix(s.out_channels * block);
    const std::int64_t bias_stride = matrix(s.out_channels);
    Workspace parts(workspace.data());
    float* const bias_sums = parts.take(blocking.threads * bias_stride);
    std::fill_n(bias_sums, blocking.threads * bias_stride, 0.0f);

    const auto first_column = [&](std::int64_t panel) { return out_blocks * panel / panels; };
    // Adds a block of tiles to the sums of one item and frequency.
    const auto product = [&](std::int64_t tiles, std::int64_t item, std::int64_t f, const float* vx,
                             const float* vdy, float* sums, bool add) {
      const std::int64_t panel = item / in_blocks, k = first_column(panel);
      accumulate<B>(tiles, first_column(panel + 1) - k,
                    vx + f * matrix(s.in_channels * tiles) + item % in_blocks * tiles * B,
                    vdy + f * matrix(s.out_channels * tiles) + k * tiles * B, tiles * B,
                    sums + f * sums_stride(), add);
    };
    // Writes the weights of one item.
    const auto finish = [&](std::int64_t item, const float* sums) {
      const std::int64_t panel = item / in_blocks;
      for (std::int64_t k = first_column(panel); k < first_column(panel + 1); ++k, sums += B * B)
        transform_weight_gradient(s, k, item % in_blocks, sums, dw);
    };

    if (blocking.shared) {
      const std::int64_t tiles = blocking.tiles;
      float* const vx = parts.take(x_floats);
      float* const vdy = parts.take(dy_floats);
      float* const sums = parts.take(0);
      parallel_ranges(in_blocks * tiles, 1, [&](int, std::int64_t begin, std::int64_t end) {
        transform_input(s, x, 0, tiles, begin, end, vx);
      });
      parallel_ranges(out_blocks * tiles, 1, [&](int thread, std::int64_t begin, std::int64_t end) {
        transform_gradient(s, dy, 0, tiles, begin, end, vdy, bias_sums + thread * bias_stride);
      });
      parallel_ranges(items, 1, [&](int thread, std::int64_t begin, std::int64_t end) {
        float* const own = sums + thread * F * sums_stride();
        for (std::int64_t item = begin; item < end; ++item) {
          for (int f = 0; f < F; ++f) product(tiles, item, f, vx, vdy, own, false);
          finish(item, own);
        }
      });
    } else {
      float* const buffers = parts.take(blocking.threads * (x_floats + dy_floats));
      float* const sums = parts.take(0);
      const std::int64_t sums_floats = items * F * sums_stride();
      // The float past a thread's bias sums: zero unless it ran (OpenMP may grant fewer threads than asked
      // for).
      const auto took_part = [&](std::int64_t thread) -> float& {
        return bias_sums[thread * bias_stride + s.out_channels];
      };
      parallel_ranges(blocking.blocks, 1, [&](int thread, std::int64_t begin, std::int64_t end) {
        float* const vx = buffers + thread * (x_floats + dy_floats);
        float* const vdy = vx + x_floats;
        took_part(thread) = 1;
        for (std::int64_t b = begin; b < end; ++b) {
          const std::int64_t first = blocking.begin(b), tiles = blocking.size(b);
          transform_input(s, x, first, tiles, 0, in_blocks * tiles, vx);
          transform_gradient(s, dy, first, tiles, 0, out_blocks * tiles, vdy,
                             bias_sums + thread * bias_stride);
          for (int f = 0; f < F; ++f)
            for (std::int64_t item = 0; item < items; ++item)
              product(tiles, item, f, vx, vdy, sums + thread * sums_floats + item * F * sums_stride(),
                      b > begin);
        }
      });
      parallel_for(items, [&](std::int64_t item) {
        float* const total = sums + item * F * sums_stride();
        for (std::int64_t t = 1; t < blocking.threads && took_part(t) != 0; ++t)
          for (std::int64_t i = 0; i < F * sums_stride(); ++i) total[i] += total[t * sums_floats + i];
        finish(item, total);
      });
    }
    if (dbias)
      for (std::int64_t k = 0; k < s.out_channels; ++k) {
        dbias[k] = 0;
        for (std::int64_t t = 0; t < blocking.threads; ++t) dbias[k] += bias_sums[t * bias_stride + k];
      }
  }

  template <class WeightsOut>
  [[gnu::noinline, gnu::flatten]] static void transform_weight_gradient(const ConvShape& s,
                                                                        std::int64_t out_block,
                                                                        std::int64_t in_block,
                                                                        const float* sums,
                                                                        const WeightsOut& dw) {
    alignas(64) float scratch[R * R * B * B];
    float* const block = dw.open(s, out_block, in_block, scratch);
    for (int c = 0; c < B; ++c)
      transform_2d<T, R, V>(
          [](const V* in, V* out) { Gradient::output(in, out); },
          [&](int j, V* column) {
            unrolled<T>(
                [&](auto i) { column[i] = simd_load<B>(sums + (i * T + j) * sums_stride() + c * B); });
          },
          [&](int i, const V* row) {
            unrolled<R>([&](auto j) { simd_store<B>(block + ((i * R + j) * B + c) * B, row[j]); });
          });
    dw.close(s, out_block, in_block, block);
  }
};

}  // namespace detail

/// Floats that `transform_weights` writes.
template <int M, int R, int B = simd_width>
std::int64_t transformed_floats(const ConvShape& s, Pass pass) {
  using P = detail::Passes<M, R, B>;
  P::check(s);
  const ConvShape shape = pass == Pass::backward_data ? s.transposed() : s;
  return P::panels(shape) * P::panel_floats(shape);
}

/// Transforms weights once for many calls of `forward` or `backward_data` (inference).
template <int M, int R, int B = simd_width, class Weights>
TransformedWeights transform_weights(const ConvShape& s, Pass pass, const Weights& weights,
                                     std::span<float> out) {
  using P = detail::Passes<M, R, B>;
  const std::int64_t needed = transformed_floats<M, R, B>(s, pass);
  require<ValueError>(static_cast<std::int64_t>(out.size()) >= needed, "winograd: ", needed,
                      " floats for the transformed weights expected, got ", out.size());
  if (pass == Pass::backward_data)
    P::transform_weights(s.transposed(), RotatedWeights<B, Weights>{weights}, out.data());
  else
    P::transform_weights(s, weights, out.data());
  return {out.data()};
}

/// Floats of workspace for the current number of threads, for any of the three passes and kinds of weights.
template <int M, int R, int B = simd_width>
std::int64_t workspace_floats(const ConvShape& s) {
  using P = detail::Passes<M, R, B>;
  P::check(s);
  return std::max({P::template convolve_workspace<false>(s),
                   P::template convolve_workspace<false>(s.transposed()), P::backward_weights_workspace(s)});
}

/// y[N, K, Ho, Wo] = epilogue(x[N, C, H, W] * weights + bias[K]), with F(M x M, R x R).
/// `x` is a source (`Load`), `weights` BlockedWeights, OihwWeights or TransformedWeights, `bias` may be null.
/// The result does not depend on the number of threads.
template <int M, int R, int B = simd_width, class Source, class Weights, class Epilogue = Identity>
void forward(const ConvShape& s, const Source& x, const Weights& weights, const float* bias, float* y,
             std::span<float> workspace, const Epilogue& epilogue = {}) {
  detail::Passes<M, R, B>::convolve(s, x, weights, bias, y, workspace, epilogue);
}

/// dx[N, C, H, W] = epilogue(dy[N, K, Ho, Wo] * rotated weights): `AddTo{dx}` accumulates, `LoadThroughRelu`
/// takes dy through ReLU and dropout. `s` is the forward pass's shape.
template <int M, int R, int B = simd_width, class Source, class Weights, class Epilogue = Identity>
void backward_data(const ConvShape& s, const Source& dy, const Weights& weights, float* dx,
                   std::span<float> workspace, const Epilogue& epilogue = {}) {
  using P = detail::Passes<M, R, B>;
  P::check(s);
  if constexpr (std::is_same_v<Weights, TransformedWeights>)
    P::convolve(s.transposed(), dy, weights, nullptr, dx, workspace, epilogue);
  else
    P::convolve(s.transposed(), dy, RotatedWeights<B, Weights>{weights}, nullptr, dx, workspace, epilogue);
}

/// dw[K, C, R, R] = correlation of x with dy, in the order of `dw` (BlockedWeights or OihwWeights of float),
/// and, unless null, dbias[K] = sums of dy. The order of summation depends on the number of threads alone.
template <int M, int R, int B = simd_width, class Source, class Gradient, class WeightsOut>
void backward_weights(const ConvShape& s, const Source& x, const Gradient& dy, const WeightsOut& dw,
                      float* dbias, std::span<float> workspace) {
  detail::Passes<M, R, B>::backward_weights(s, x, dy, dw, dbias, workspace);
}

}  // namespace kfer::winograd
