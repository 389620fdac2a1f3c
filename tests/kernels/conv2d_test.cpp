// Every step of the convolution ladder, all three passes, against plain loops in double.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "conv2d_cases.hpp"
#include "kernels/conv2d/1_direct.cuh"
#include "kernels/conv2d/2_implicit_gemm_tile.cuh"
#include "kernels/conv2d/3_register_tile.cuh"
#include "kernels/conv2d/4_double_buffer.cuh"
#include "kernels/conv2d/5_tensor_core.cuh"
#include "kernels/conv2d/shipped.cuh"

using namespace kfer::kernels;
using namespace kfer::test;
namespace simt = kfer::simt;

namespace {

/// Exactly n elements of the heap (a memory checker sees the first byte past them), `shift` elements off
/// their alignment, poisoned with NaNs.
template <class T>
class Memory {
 public:
  explicit Memory(long long n, int shift = 0)
      : size_(n), shift_(shift), data_(std::malloc(bytes() ? bytes() : 1), &std::free) {
    std::memset(data_.get(), 0xFF, bytes());
  }
  T* get() const { return static_cast<T*>(data_.get()) + shift_; }
  long long size() const { return size_; }

 private:
  std::size_t bytes() const { return static_cast<std::size_t>(size_ + shift_) * sizeof(T); }
  long long size_;
  int shift_;
  std::unique_ptr<void, decltype(&std::free)> data_;
};

template <class T>
Memory<T> numbers(long long n, unsigned seed, int shift) {
  Memory<T> m(n, shift);
  const auto values = conv_numbers<T>(n, seed);
  std::copy(values.begin(), values.end(), m.get());
  return m;
}

struct Direct {
  template <class T>
  static void forward(const ConvShape& s, const T* x, const T* w, const T* b, bool relu, T* y) {
    conv_forward_by_definition(s, x, w, b, relu, y, Stream{});
  }
  template <class T>
  static void data(const ConvShape& s, const T* w, const T* dy, T* dx) {
    conv_backward_data_by_definition(s, w, dy, dx, Stream{});
  }
  template <class T>
  static void weights(const ConvShape& s, const T* x, const T* dy, T* dw) {
    conv_backward_weights_by_definition(s, x, dy, dw, Stream{});
  }
};
template <class Step>
struct By {
  template <class T>
  static void forward(const ConvShape& s, const T* x, const T* w, const T* b, bool relu, T* y) {
    conv_forward_by<Step>(s, x, w, b, relu, y, Stream{});
  }
  template <class T>
  static void data(const ConvShape& s, const T* w, const T* dy, T* dx) {
    conv_backward_data_by<Step>(s, w, dy, dx, Stream{});
  }
  template <class T>
  static void weights(const ConvShape& s, const T* x, const T* dy, T* dw) {
    const Memory<unsigned char> workspace(
        static_cast<long long>(conv_backward_weights_workspace_by<Step, T>(s)));
    conv_backward_weights_by<Step>(s, x, dy, dw, workspace.get(), Stream{});
  }
};
struct Shipped {
  template <class T>
  static void forward(const ConvShape& s, const T* x, const T* w, const T* b, bool relu, T* y) {
    conv2d_forward(s, x, w, b, relu, y, Stream{});
  }
  template <class T>
  static void data(const ConvShape& s, const T* w, const T* dy, T* dx) {
    conv2d_backward_data(s, w, dy, dx, Stream{});
  }
  template <class T>
  static void weights(const ConvShape& s, const T* x, const T* dy, T* dw) {
    const Memory<unsigned char> workspace(static_cast<long long>(conv2d_backward_weights_workspace<T>(s)));
    conv2d_backward_weights(s, x, dy, dw, workspace.get(), Stream{});
  }
};

/// `product_error`: what a product may be off by, as a share of it.
template <class Step, class T>
void check(const ConvShape& s, int shift = 0, double product_error = 0) {
  const auto x = numbers<T>(static_cast<long long>(s.in_pixels()) * s.in_channels, 1, shift);
  const auto w = numbers<T>(s.weights(), 2, shift);
  const auto dy = numbers<T>(static_cast<long long>(s.out_pixels()) * s.out_channels, 3, shift);
  const auto bias = numbers<T>(s.out_channels, 4, shift);
  const ConvExpected want(s, x.get(), w.get(), dy.get());
  for (const bool surrounded : {false, true}) {
    const Memory<T> got(dy.size(), shift);
    Step::template forward<T>(s, x.get(), w.get(), surrounded ? bias.get() : nullptr, surrounded, got.get());
    CHECK(conv_wrong(got.get(), want.y, s.filter(), surrounded ? bias.get() : nullptr, s.out_channels,
                     surrounded, product_error) == 0);
  }
  const Memory<T> got_x(x.size(), shift), got_w(w.size(), shift);
  Step::template data<T>(s, w.get(), dy.get(), got_x.get());
  CHECK(conv_wrong<T>(got_x.get(), want.dx, s.taps() * s.group_out(), nullptr, 1, false, product_error) == 0);
  Step::template weights<T>(s, x.get(), dy.get(), got_w.get());
  CHECK(conv_wrong<T>(got_w.get(), want.dw, s.out_pixels(), nullptr, 1, false, product_error) == 0);
}

template <class Step>
void check_all() {
  const simt::Config before = simt::config;
  simt::config.order = simt::Order::random;
  for (const auto& c : conv_cases) {
    INFO(c.name);
    ++simt::config.seed;
    check<Step, float>(c.s);
    check<Step, bf16>(c.s);
    check<Step, double>(c.s);
  }
  simt::config = before;
}

}  // namespace

TEST_CASE("conv2d 1_direct: all passes, every type") {
  check_all<Direct>();
}
TEST_CASE("conv2d 2_implicit_gemm_tile: all passes, every type") {
  check_all<By<ConvImplicitGemmTile>>();
}
TEST_CASE("conv2d 3_register_tile: all passes, every type") {
  check_all<By<ConvRegisterTile>>();
}
TEST_CASE("conv2d 4_double_buffer: all passes, every type") {
  check_all<By<ConvDoubleBuffer>>();
}

TEST_CASE("conv2d: what ships") {
  const ConvShape s = conv_shape(2, 7, 5, 16, 8, 3, 3, 2, 1, 1, 1);
  check<Shipped, float>(s);
  check<Shipped, bf16>(s);
  check<Shipped, double>(s);
}

TEST_CASE("conv2d: memory off its alignment takes the path without vectors") {
  const ConvShape s = conv_shape(1, 5, 6, 8, 16, 3, 3, 1, 1, 1, 1);
  check<By<ConvRegisterTile>, float>(s, 1);
  check<By<ConvDoubleBuffer>, float>(s, 1);
  check<By<ConvDoubleBuffer>, bf16>(s, 3);
  check<By<ConvDoubleBuffer>, double>(s, 1);
}

TEST_CASE("conv2d: a gradient of weights that is split repeats its bits in any order of threads and blocks") {
  const ConvShape s = conv_shape(3, 17, 19, 8, 16, 3, 3, 1, 1, 1, 1);
  REQUIRE(ConvSplits::of(s, 64, 64).count > 1);
  const auto x = numbers<float>(static_cast<long long>(s.in_pixels()) * s.in_channels, 1, 0);
  const auto dy = numbers<float>(static_cast<long long>(s.out_pixels()) * s.out_channels, 2, 0);
  const auto run = [&] {
    const Memory<float> dw(s.weights());
    Shipped::weights<float>(s, x.get(), dy.get(), dw.get());
    return std::vector<float>(dw.get(), dw.get() + dw.size());
  };
  const simt::Config before = simt::config;
  simt::config.order = simt::Order::forward;
  const auto first = run();
  simt::config.order = simt::Order::reverse;
  CHECK(run() == first);
  simt::config = before;
  CHECK(run() == first);
}

// The fifth step, its instructions acted out by common/ptx_host.cuh; and where it puts things.

TEST_CASE("conv2d 5_tensor_core: all passes, in bf16 and TF32, with either tile") {
  constexpr double tf32 = 0x1p-10;  // both factors rounded to 10 bits of mantissa
  const simt::Config before = simt::config;
  simt::config.order = simt::Order::random;
  for (const auto& c : conv_cases) {
    INFO(c.name);
    ++simt::config.seed;
    check<By<ConvTensorCore>, bf16>(c.s);
    check<By<ConvTensorCore>, float>(c.s, 0, tf32);
  }
  simt::config = before;
  const ConvShape large = conv_shape(4, 13, 11, 72, 72, 1, 1);
  check<By<ConvTensorCore>, bf16>(large);
  check<By<ConvTensorCore>, float>(large, 0, tf32);
  const ConvShape unaligned = conv_shape(1, 5, 6, 8, 16, 3, 3, 1, 1, 1, 1);
  check<By<ConvTensorCore>, bf16>(unaligned, 1);
  check<By<ConvTensorCore>, float>(unaligned, 3, tf32);
}

namespace {

/// What ldmatrix.x4 gives: lane l gets elements 2 (l % 4) and 2 (l % 4) + 1 of line l / 4 of each matrix, or
/// of column l / 4 if it transposes. `line` gives the lines that the 32 lanes point to.
std::vector<std::vector<int>> ldmatrix(const std::vector<int>& memory, const std::function<int(int)>& line,
                                       bool transposed) {
  std::vector<std::vector<int>> out(32, std::vector<int>(8));
  for (int lane = 0; lane < 32; ++lane)
    for (int matrix = 0; matrix < 4; ++matrix)
      for (int h = 0; h < 2; ++h) {
        const int fast = lane % 4 * 2 + h, slow = lane / 4;
        const int l = transposed ? fast : slow, element = transposed ? slow : fast;
        out[static_cast<std::size_t>(lane)][static_cast<std::size_t>(matrix * 2 + h)] =
            memory[static_cast<std::size_t>(line(matrix * 8 + l) + element)];
      }
  return out;
}

template <class T, bool Along>
void check_tile() {
  constexpr int tile_depth = SmallTensorTile<T>::depth;
  using Tile = MmaTile<T, Along, 64, tile_depth>;
  constexpr int words = 4 / sizeof(T);  // elements of a bank
  // Every element has a place of its own, and whole vectors are aligned to 16 bytes.
  std::vector<int> memory(Tile::size, -1);
  for (int row = 0; row < 64; ++row)
    for (int depth = 0; depth < tile_depth; ++depth) {
      int& m = memory.at(static_cast<std::size_t>(Tile::offset(row, depth)));
      CHECK(m == -1);
      m = row * 1000 + depth;
      if ((Along ? depth : row) % vec_width<T> == 0)
        CHECK(static_cast<std::size_t>(Tile::offset(row, depth)) * sizeof(T) % 16 == 0);
    }
  if constexpr (sizeof(T) == 2) {
    for (const bool is_a : {true, false})
      for (const int row0 : {0, 16, 48})
        for (const int depth0 : {0, 16}) {
          const auto line = [&](int lane) {
            const TileElement at = is_a ? ldmatrix_a<T, Along>(lane) : ldmatrix_b<T, Along>(lane);
            return Tile::offset(row0 + at.outer, depth0 + at.k);
          };
          const auto got = ldmatrix(memory, line, !Along);
          for (int lane = 0; lane < 32; ++lane)
            for (int e = 0; e < 8; ++e) {  // one fragment of A, or two of B
              const TileElement at = is_a ? mma_a<T>(lane, e / 2, e % 2) : mma_b<T>(lane, e / 2, e % 2);
              CHECK(got[static_cast<std::size_t>(lane)][static_cast<std::size_t>(e)] ==
                    (row0 + at.outer) * 1000 + depth0 + at.k);
            }
          for (int matrix = 0; matrix < 4; ++matrix) {  // its eight lines cover the 32 banks once
            unsigned seen = 0;
            for (int l = 0; l < 8; ++l) seen |= 1u << line(matrix * 8 + l) / (4 * words) % 8;
            CHECK(seen == 0xFF);
          }
        }
  } else {
    for (int e = 0; e < 4; ++e) {
      unsigned a = 0, b = 0;
      for (int lane = 0; lane < 32; ++lane) {
        const TileElement at = mma_a<T>(lane, e, 0), bt = mma_b<T>(lane, e, 0);
        a |= 1u << Tile::offset(at.outer, at.k) % 32;
        b |= 1u << Tile::offset(bt.outer, bt.k) % 32;
      }
      CHECK(a == 0xFFFFFFFF);
      CHECK(b == 0xFFFFFFFF);
    }
  }
}

}  // namespace

TEST_CASE("conv2d 5_tensor_core: tiles in shared memory, and ldmatrix on them, without bank conflicts") {
  check_tile<bf16, true>();
  check_tile<bf16, false>();
  check_tile<float, true>();
  check_tile<float, false>();
}
