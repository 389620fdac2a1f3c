// Every step of the convolution ladder on a GPU, the one on tensor cores among them, against plain loops in
// double on the host.
#include "cuda/gpu_main.hpp"

#include "../../kernels/conv2d/1_direct.cuh"
#include "../../kernels/conv2d/2_implicit_gemm_tile.cuh"
#include "../../kernels/conv2d/3_register_tile.cuh"
#include "../../kernels/conv2d/4_double_buffer.cuh"
#include "../../kernels/conv2d/5_tensor_core.cuh"
#include "../../kernels/conv2d/passes.cuh"
#include "kernels/conv2d_cases.hpp"

using namespace kfer;
using namespace kfer::test;
namespace k = kfer::kernels;

namespace {

/// Elements on the device between two fences; `shift` elements off their alignment. Starts as NaNs.
template <class T>
class OnDevice {
 public:
  explicit OnDevice(std::size_t n, std::size_t shift = 0) : n_(n), shift_(fence + shift), block_(bytes()) {
    const std::vector<unsigned char> poison(bytes(), 0xFF);
    Cuda::copy_from_host(block_.data(), poison.data(), poison.size());
  }
  OnDevice(const std::vector<T>& values, std::size_t shift) : OnDevice(values.size(), shift) {
    if (!values.empty()) Cuda::copy_from_host(data(), values.data(), values.size() * sizeof(T));
  }
  T* data() const { return static_cast<T*>(block_.data()) + shift_; }

  /// The elements; fails if a fence was written to.
  std::vector<T> values() const {
    std::vector<unsigned char> all(bytes());
    Cuda::copy_to_host(all.data(), block_.data(), all.size());
    const std::size_t begin = shift_ * sizeof(T), end = begin + n_ * sizeof(T);
    bool fenced = true;
    for (std::size_t i = 0; i < all.size(); ++i)
      fenced = fenced && ((i >= begin && i < end) || all[i] == 0xFF);
    CHECK(fenced);
    std::vector<T> out(n_);
    if (n_) std::memcpy(static_cast<void*>(out.data()), all.data() + begin, n_ * sizeof(T));
    return out;
  }

 private:
  static constexpr std::size_t fence = 256;  // elements
  std::size_t bytes() const { return (shift_ + n_ + fence) * sizeof(T); }
  std::size_t n_, shift_;
  Buffer<Cuda> block_;
};

/// What an exact sum may be missed by: products off by a share `product` each, and `addition` half units in
/// the last place for every addition.
struct Rounding {
  double product = 0;
  long long addition = 1;
};

struct Direct {
  /// Additions in a row in the gradient of a weight.
  template <class T>
  static long long weights_depth(const ConvShape& s) {
    return s.out_pixels();
  }
  template <class T>
  static void forward(const ConvShape& s, const T* x, const T* w, const T* b, bool relu, T* y) {
    k::conv_forward_by_definition(s, x, w, b, relu, y, Cuda::stream());
  }
  template <class T>
  static void data(const ConvShape& s, const T* w, const T* dy, T* dx) {
    k::conv_backward_data_by_definition(s, w, dy, dx, Cuda::stream());
  }
  template <class T>
  static void weights(const ConvShape& s, const T* x, const T* dy, T* dw) {
    k::conv_backward_weights_by_definition(s, x, dy, dw, Cuda::stream());
  }
};
template <class Step>
struct By {
  template <class T>
  static long long weights_depth(const ConvShape& s) {
    const auto splits = k::ConvSplits::of(s, Step::template Tile<T>::m, Step::template Tile<T>::n);
    return splits.depth + splits.count;
  }
  template <class T>
  static void forward(const ConvShape& s, const T* x, const T* w, const T* b, bool relu, T* y) {
    k::conv_forward_by<Step>(s, x, w, b, relu, y, Cuda::stream());
  }
  template <class T>
  static void data(const ConvShape& s, const T* w, const T* dy, T* dx) {
    k::conv_backward_data_by<Step>(s, w, dy, dx, Cuda::stream());
  }
  template <class T>
  static void weights(const ConvShape& s, const T* x, const T* dy, T* dw) {
    const OnDevice<unsigned char> workspace(k::conv_backward_weights_workspace_by<Step, T>(s));
    k::conv_backward_weights_by<Step>(s, x, dy, dw, workspace.data(), Cuda::stream());
  }
};

template <class Step, class T>
void check(const ConvShape& s, const Rounding& rounding = {}, std::size_t shift = 0) {
  const auto x = conv_numbers<T>(static_cast<long long>(s.in_pixels()) * s.in_channels, 1);
  const auto w = conv_numbers<T>(s.weights(), 2);
  const auto dy = conv_numbers<T>(static_cast<long long>(s.out_pixels()) * s.out_channels, 3);
  const auto b = conv_numbers<T>(s.out_channels, 4);
  const ConvExpected want(s, x.data(), w.data(), dy.data());
  const OnDevice<T> dx(x, shift), dw(w, shift), ddy(dy, shift), db(b, shift);
  const auto wrong = [&](const OnDevice<T>& got, const ConvSums& exact, long long depth,
                         const T* bias = nullptr, bool relu = false) {
    return conv_wrong(got.values().data(), exact, rounding.addition * depth, bias, s.out_channels, relu,
                      rounding.product);
  };
  for (const bool surrounded : {false, true}) {
    const OnDevice<T> y(dy.size(), shift);
    Step::template forward<T>(s, dx.data(), dw.data(), surrounded ? db.data() : nullptr, surrounded,
                              y.data());
    CHECK(wrong(y, want.y, s.filter(), surrounded ? b.data() : nullptr, surrounded) == 0);
  }
  const OnDevice<T> got_x(x.size(), shift), got_w(w.size(), shift);
  Step::template data<T>(s, dw.data(), ddy.data(), got_x.data());
  CHECK(wrong(got_x, want.dx, s.taps() * s.group_out()) == 0);
  Step::template weights<T>(s, dx.data(), ddy.data(), got_w.data());
  CHECK(wrong(got_w, want.dw, Step::template weights_depth<T>(s)) == 0);
}

/// Tensor cores may cut off where others round when they add: a whole unit.
constexpr Rounding of_bf16{.addition = 2};
/// And TF32 keeps 10 bits of either factor's mantissa.
constexpr Rounding of_tf32{.product = 0x1p-10, .addition = 2};

}  // namespace

TEST_CASE("conv2d on a GPU: the steps for every type") {
  for (const auto& c : conv_cases) {
    INFO(c.name);
    check<Direct, float>(c.s);
    check<Direct, k::bf16>(c.s);
    check<Direct, double>(c.s);
    check<By<k::ConvImplicitGemmTile>, float>(c.s);
    check<By<k::ConvImplicitGemmTile>, k::bf16>(c.s);
    check<By<k::ConvImplicitGemmTile>, double>(c.s);
    check<By<k::ConvRegisterTile>, float>(c.s);
    check<By<k::ConvRegisterTile>, k::bf16>(c.s);
    check<By<k::ConvRegisterTile>, double>(c.s);
    check<By<k::ConvDoubleBuffer>, float>(c.s);
    check<By<k::ConvDoubleBuffer>, k::bf16>(c.s);
    check<By<k::ConvDoubleBuffer>, double>(c.s);
  }
}

TEST_CASE("conv2d on a GPU: tensor cores") {
  for (const auto& c : conv_cases) {
    INFO(c.name);
    check<By<k::ConvTensorCore>, k::bf16>(c.s, of_bf16);
    check<By<k::ConvTensorCore>, float>(c.s, of_tf32);
  }
}

TEST_CASE("conv2d on a GPU: tensor cores with the large tile, in each of the passes") {
  const int images = k::multiprocessors() / 6 + 2;  // of 784 pixels: a tile of 128 a multiprocessor, and more
  for (const ConvShape& s : {conv_shape(images, 28, 28, 16, 72, 3, 3, 1, 1, 1, 1),
                             conv_shape(images, 28, 28, 72, 16, 3, 3, 1, 1, 1, 1)}) {
    check<By<k::ConvTensorCore>, k::bf16>(s, of_bf16);
    check<By<k::ConvTensorCore>, float>(s, of_tf32);
  }
}

TEST_CASE("conv2d on a GPU: memory off its alignment takes the path without vectors") {
  const ConvShape s = conv_shape(2, 9, 7, 16, 24, 3, 3, 2, 1, 1, 1);
  check<By<k::ConvDoubleBuffer>, float>(s, {}, 1);
  check<By<k::ConvTensorCore>, k::bf16>(s, of_bf16, 1);
  check<By<k::ConvTensorCore>, float>(s, of_tf32, 3);
}
