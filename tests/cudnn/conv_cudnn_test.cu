// cuDNN's convolutions on a GPU against plain loops in double on the host, and fused graphs against the same
// steps one after the other.
#include "cuda/gpu_main.hpp"
//
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "cudnn/layers.hpp"
#include "kfer/ops/conv2d/conv2d_cudnn.hpp"
#include "kfer/ops/conv2d/conv2d_reference.hpp"

using namespace kfer;
using detail::ConvCudnn;
using detail::ConvOperand;
using detail::ConvPattern;
using Pass = ConvPattern::Pass;

namespace {

/// A value as the host computes it, with what its rounding errors are relative to.
struct Exact {
  double value = 0;
  double products = 0;  ///< sum of |a * b| over the products in it
  double size = 0;  ///< sum of |t| over the terms that were added up after the products' sum, and of that sum
};
using Values = std::vector<double>;

/// Rounding errors of a type on this device: of a product's factors, and of a result.
///
/// TF32 keeps 10 bits of a factor's fraction: each is off by at most 2^-11 of itself if rounded, 2^-10 if
/// cut, so a sum of products by at most 2^-9 of the sum of their magnitudes, in practice by less than 1e-3 of
/// it. Float products are good to 2^-23, their sums and Winograd's transforms to 1e-5. Factors in bfloat16
/// are exact; results have 8 bits.
template <class T>
struct Rounding {
  double product = std::same_as<T, bfloat16> || Cuda::math().strict_fp32 ? 2e-5 : 2e-3;
  double result = std::same_as<T, bfloat16> ? 1.0 / 256 : 1e-6;
};

/// Numbers in [-1, 1) that T holds exactly.
template <class T>
Values numbers(const Shape& shape, std::uint64_t seed) {
  Values out(static_cast<std::size_t>(shape.numel()));
  const RandomStream random{.seed = seed, .stream = 0};
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = static_cast<float>(static_cast<T>(static_cast<float>(2 * random.uniform(i) - 1)));
  return out;
}

template <class T>
Tensor<T, Cuda> on_device(const Shape& shape, const Values& values, const Layout& layout) {
  const std::vector<T> typed = [&] {
    std::vector<T> v;
    for (const double x : values) v.push_back(static_cast<T>(static_cast<float>(x)));
    return v;
  }();
  return Tensor<T, Cuda>(shape, std::span<const T>(typed)).to(layout);
}
template <class T>
Tensor<T, Cuda> image(const Shape& shape, const Values& values) {
  return on_device<T>(shape, values, Layout::channels_last());
}
template <class T>
Tensor<T, Cuda> vector(const Values& values) {
  return on_device<T>({static_cast<std::int64_t>(values.size())}, values, Layout::row_major(1));
}

/// Leaves NaNs in the memory that the next tensors of this size are likely to get.
template <class T>
void poison(const Shape& shape) {
  const auto bytes = static_cast<std::size_t>(shape.numel()) * sizeof(T);
  const Buffer<Cuda> a(bytes), b(bytes);
  for (void* p : {a.data(), b.data()}) cuda::check(cudaMemsetAsync(p, 0xFF, bytes, Cuda::stream()), "poison");
}

/// Every element within its rounding errors of the exact one. A NaN never is.
template <class T, class U>
void check_close(const Tensor<U, Cuda>& got, const std::vector<Exact>& exact, double more = 0) {
  const Rounding<T> rounding;
  const auto values = got.to_vector();
  REQUIRE(values.size() == exact.size());
  double worst = 0;  // in units of what is allowed
  for (std::size_t i = 0; i < exact.size(); ++i) {
    const double allowed =
        (rounding.product + more) * exact[i].products + rounding.result * exact[i].size + 1e-30;
    const double off = std::abs(static_cast<double>(values[i]) - exact[i].value) / allowed;
    worst = off <= worst ? worst : (std::isnan(off) ? HUGE_VAL : off);
  }
  CHECK(worst <= 1);
}
/// The same elements, but for the rounding of a result or two.
template <class T>
void check_same(const Tensor<T, Cuda>& a, const Tensor<T, Cuda>& b, const std::vector<Exact>& exact) {
  const Rounding<T> rounding;
  const auto p = a.to_vector(), q = b.to_vector();
  REQUIRE(p.size() == exact.size());
  REQUIRE(q.size() == exact.size());
  double worst = 0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    const double allowed =
        2 * (rounding.product * exact[i].products + rounding.result * exact[i].size) + 1e-30;
    const double off = std::abs(static_cast<double>(p[i]) - static_cast<double>(q[i])) / allowed;
    worst = off <= worst ? worst : (std::isnan(off) ? HUGE_VAL : off);
  }
  CHECK(worst <= 1);
}

/// Sums of products a[ia] * b[ib] into `count` values, for the pairs that `visit` is called with.
template <class Loops>
std::vector<Exact> sum_products(std::int64_t count, const Values& a, const Values& b, const Loops& loops) {
  std::vector<Exact> out(static_cast<std::size_t>(count));
  loops([&](std::int64_t at, std::int64_t ia, std::int64_t ib) {
    const double product = a[static_cast<std::size_t>(ia)] * b[static_cast<std::size_t>(ib)];
    out[static_cast<std::size_t>(at)].value += product;
    out[static_cast<std::size_t>(at)].products += std::abs(product);
  });
  for (Exact& e : out) e.size = std::abs(e.value);
  return out;
}
std::vector<Exact> exact_forward(const Conv2dShape& s, const Values& x, const Values& w) {
  return sum_products(s.output().numel(), x, w, [&](auto add) {
    reference::conv2d_products(s, [&](auto y, auto ix, auto iw) { add(y, ix, iw); });
  });
}
std::vector<Exact> exact_backward_data(const Conv2dShape& s, const Values& w, const Values& dy) {
  return sum_products(s.input().numel(), dy, w, [&](auto add) {
    reference::conv2d_products(s, [&](auto y, auto ix, auto iw) { add(ix, y, iw); });
  });
}
std::vector<Exact> exact_backward_weights(const Conv2dShape& s, const Values& x, const Values& dy) {
  return sum_products(s.weight().numel(), dy, x, [&](auto add) {
    reference::conv2d_products(s, [&](auto y, auto ix, auto iw) { add(iw, y, ix); });
  });
}

/// The channel of element i of an NCHW tensor.
std::size_t channel(const Shape& shape, std::size_t i) {
  return i / static_cast<std::size_t>(shape[2] * shape[3]) % static_cast<std::size_t>(shape[1]);
}
void scale(std::vector<Exact>& y, const Shape& shape, const Values& factors) {
  for (std::size_t i = 0; i < y.size(); ++i) {
    const double f = factors[channel(shape, i)];
    y[i] = {y[i].value * f, y[i].products * std::abs(f), y[i].size * std::abs(f)};
  }
}
void add_bias(std::vector<Exact>& y, const Shape& shape, const Values& bias) {
  for (std::size_t i = 0; i < y.size(); ++i) {
    const double b = bias[channel(shape, i)];
    y[i].value += b;
    y[i].size += std::abs(b);
  }
}
void add(std::vector<Exact>& y, const Values& terms) {
  for (std::size_t i = 0; i < y.size(); ++i) {
    y[i].value += terms[i];
    y[i].size += std::abs(terms[i]);
  }
}
void relu(std::vector<Exact>& y) {
  for (Exact& e : y) e.value = std::max(e.value, 0.0);
}

Conv2dShape conv(const Shape& x, const Shape& w, const Conv2dOptions& options = {}) {
  return Conv2dShape::of(x, w, options);
}

/// Those with channels in eights and one group: the fused graphs that training is to use exist for them in
/// both types.
std::vector<Conv2dShape> even_shapes() {
  auto out = test::sample_convolutions();
  std::erase_if(
      out, [](const Conv2dShape& s) { return s.in_channels % 8 || s.out_channels % 8 || s.groups != 1; });
  return out;
}

/// Restores the device's options.
struct WithMath {
  MathOptions before = Cuda::math();
  explicit WithMath(const MathOptions& options) { Cuda::math() = options; }
  ~WithMath() { Cuda::math() = before; }
};

template <class T>
void check_passes(const Conv2dShape& s) {
  CAPTURE(to_string(s.input()));
  CAPTURE(to_string(s.weight()));
  const Values x = numbers<T>(s.input(), 1), w = numbers<T>(s.weight(), 2), dy = numbers<T>(s.output(), 3),
               b = numbers<T>({s.out_channels}, 4);
  const auto tx = image<T>(s.input(), x), tw = image<T>(s.weight(), w), tdy = image<T>(s.output(), dy);
  const auto tb = vector<T>(b);

  auto exact = exact_forward(s, x, w);
  poison<T>(s.output());
  check_close<T>(ConvCudnn<T>::forward(s, tx, tw, nullptr, false), exact);
  add_bias(exact, s.output(), b);
  poison<T>(s.output());
  check_close<T>(ConvCudnn<T>::forward(s, tx, tw, &tb, false), exact);
  relu(exact);
  poison<T>(s.output());
  const auto y = ConvCudnn<T>::forward(s, tx, tw, &tb, true);
  CHECK(y.layout() == Layout::channels_last());
  check_close<T>(y, exact);
  auto without_bias = exact_forward(s, x, w);
  relu(without_bias);
  check_close<T>(ConvCudnn<T>::forward(s, tx, tw, nullptr, true), without_bias);

  poison<T>(s.input());
  const auto dx = ConvCudnn<T>::backward_data(s, tw, tdy);
  CHECK(dx.shape() == s.input());
  check_close<T>(dx, exact_backward_data(s, w, dy));
  poison<T>(s.weight());
  const auto dw = ConvCudnn<T>::backward_weights(s, tx, tdy);
  CHECK(dw.shape() == s.weight());
  CHECK(dw.layout() == Layout::channels_last());
  check_close<T>(dw, exact_backward_weights(s, x, dy));
}

}  // namespace

TEST_CASE("cudnn: the passes of a convolution, TF32") {
  for (const auto& s : test::sample_convolutions()) check_passes<float>(s);
}
TEST_CASE("cudnn: the passes of a convolution, strict float32") {
  const WithMath strict({.strict_fp32 = true});
  for (const auto& s : test::sample_convolutions()) check_passes<float>(s);
}
TEST_CASE("cudnn: the passes of a convolution, bfloat16") {
  for (const auto& s : test::sample_convolutions()) check_passes<bfloat16>(s);
}
TEST_CASE("cudnn: deterministic runs give the same bits") {
  const WithMath repeatable({.deterministic = true});
  for (const auto& s : test::sample_convolutions()) {
    const auto x = image<float>(s.input(), numbers<float>(s.input(), 1)),
               w = image<float>(s.weight(), numbers<float>(s.weight(), 2)),
               dy = image<float>(s.output(), numbers<float>(s.output(), 3));
    const auto twice = [](const auto& pass) { return pass().to_vector() == pass().to_vector(); };
    CHECK(twice([&] { return ConvCudnn<float>::forward(s, x, w, nullptr, false); }));
    CHECK(twice([&] { return ConvCudnn<float>::backward_data(s, w, dy); }));
    CHECK(twice([&] { return ConvCudnn<float>::backward_weights(s, x, dy); }));
  }
}

TEST_CASE_TEMPLATE("cudnn: operands in any memory order, and at any address", T, float, bfloat16) {
  const auto s = conv({3, 3, 10, 9}, {8, 3, 3, 3}, {.padding = 1});
  const Values x = numbers<T>(s.input(), 1), w = numbers<T>(s.weight(), 2);
  const auto exact = exact_forward(s, x, w);
  const auto plain = Layout::row_major(4), last = Layout::channels_last(),
             eights = Layout::channel_blocked(8);
  for (const Layout& of_x : {plain, last, eights})
    for (const Layout& of_w : {plain, last, eights})
      check_close<T>(ConvCudnn<T>::forward(s, on_device<T>(s.input(), x, of_x),
                                           on_device<T>(s.weight(), w, of_w), nullptr, false),
                     exact);
  // Channels of one element, in the middle of a larger tensor: the address is a multiple of no more than the
  // element.
  const auto t = conv({2, 1, 5, 3}, {8, 1, 3, 3}, {.padding = 1});
  const Values larger = numbers<T>({3, 1, 5, 3}, 5), filter = numbers<T>(t.weight(), 6);
  const auto part = on_device<T>({3, 1, 5, 3}, larger, plain).narrow(1, 2);
  check_close<T>(ConvCudnn<T>::forward(t, part, image<T>(t.weight(), filter), nullptr, false),
                 exact_forward(t, Values(larger.begin() + 15, larger.end()), filter));
}

TEST_CASE_TEMPLATE("cudnn: the end of a residual block", T, float, bfloat16) {
  for (const auto& s : test::sample_convolutions()) {
    CAPTURE(to_string(s.input()));
    CAPTURE(to_string(s.weight()));
    const Values x = numbers<T>(s.input(), 1), w = numbers<T>(s.weight(), 2), r = numbers<T>(s.output(), 3),
                 factors = numbers<float>({s.out_channels}, 4), b = numbers<float>({s.out_channels}, 5);
    const auto tx = image<T>(s.input(), x), tw = image<T>(s.weight(), w), tr = image<T>(s.output(), r);
    const auto tf = vector<float>(factors), tb = vector<float>(b);
    auto exact = exact_forward(s, x, w);
    scale(exact, s.output(), factors);
    add_bias(exact, s.output(), b);
    auto alone = exact;
    add(exact, r);
    relu(exact);
    relu(alone);
    poison<T>(s.output());
    const auto y = conv_scale_bias_residual_relu(s, tx, tw, tf, tb, &tr);
    check_close<T>(y, exact,
                   std::same_as<T, bfloat16> ? 1.0 / 256 : 0);  // the sums may be rounded before the epilogue
    check_close<T>(conv_scale_bias_residual_relu<T>(s, tx, tw, tf, tb, nullptr), alone,
                   std::same_as<T, bfloat16> ? 1.0 / 256 : 0);

    if (s.out_channels == 1) continue;  // cuDNN has no engine for an epilogue alone on one channel
    // The same in two graphs.
    Tensor<T, Cuda> composed(s.output(), Layout::channels_last());
    const auto sums = ConvCudnn<T>::forward(s, tx, tw, nullptr, false);
    detail::run_conv<T>({.pass = Pass::none, .scale = true, .bias = true, .residual = true, .relu = true}, s,
                        std::vector<cudnn::Operand>{{ConvOperand::sums, sums.data()},
                                                    {ConvOperand::scale, tf.data()},
                                                    {ConvOperand::bias, tb.data()},
                                                    {ConvOperand::residual, tr.data()},
                                                    {ConvOperand::y, composed.mutable_data()}});
    check_same(y, composed, exact);
  }
}

TEST_CASE_TEMPLATE("cudnn: bias and ReLU in a graph of their own", T, float, bfloat16) {
  for (const auto& s : test::sample_convolutions()) {
    if (s.out_channels == 1) continue;  // as above
    const Values v = numbers<T>(s.output(), 1), b = numbers<T>({s.out_channels}, 2);
    const auto sums = image<T>(s.output(), v);
    const auto bias = vector<T>(b);
    std::vector<Exact> exact(v.size());
    add(exact, v);
    add_bias(exact, s.output(), b);
    relu(exact);
    poison<T>(s.output());
    Tensor<T, Cuda> y(s.output(), Layout::channels_last());
    detail::run_conv<T>({.pass = Pass::none, .bias = true, .relu = true}, s,
                        std::vector<cudnn::Operand>{{ConvOperand::sums, sums.data()},
                                                    {ConvOperand::bias, bias.data()},
                                                    {ConvOperand::y, y.mutable_data()}});
    check_close<T>(y, exact);
  }
}

TEST_CASE_TEMPLATE("cudnn: a convolution with the statistics of its result, and a normalised input", T, float,
                   bfloat16) {
  for (const auto& s : even_shapes()) {
    CAPTURE(to_string(s.input()));
    CAPTURE(to_string(s.weight()));
    const Values x = numbers<T>(s.input(), 1), w = numbers<T>(s.weight(), 2),
                 factors = numbers<float>({s.in_channels}, 3), b = numbers<float>({s.in_channels}, 4);
    const auto tx = image<T>(s.input(), x), tw = image<T>(s.weight(), w);
    const auto tf = vector<float>(factors), tb = vector<float>(b);
    for (const bool normalize : {false, true}) {
      CAPTURE(normalize);
      Values input = x;
      if (normalize)
        for (std::size_t i = 0; i < x.size(); ++i) {
          const std::size_t c = channel(s.input(), i);
          input[i] =
              static_cast<float>(static_cast<T>(static_cast<float>(std::max(0.0, x[i] * factors[c] + b[c]))));
        }
      Tensor<T, Cuda> y(s.output(), Layout::channels_last());
      Tensor<float, Cuda> sum({s.out_channels}), squares({s.out_channels});
      poison<float>(sum.shape());
      std::vector<cudnn::Operand> operands{{ConvOperand::x, tx.data()},
                                           {ConvOperand::w, tw.data()},
                                           {ConvOperand::y, y.mutable_data()},
                                           {ConvOperand::sum, sum.mutable_data()},
                                           {ConvOperand::sum_of_squares, squares.mutable_data()}};
      if (normalize) {
        operands.emplace_back(ConvOperand::input_scale, tf.data());
        operands.emplace_back(ConvOperand::input_bias, tb.data());
      }
      detail::run_conv<T>({.normalize_input = normalize, .statistics = true}, s, operands);
      const auto exact = exact_forward(s, input, w);
      // One step of T's rounding in a factor where the device rounded x * scale + bias the other way.
      check_close<T>(y, exact, normalize && std::same_as<T, bfloat16> ? 1.0 / 128 : 0);

      std::vector<Exact> sums(static_cast<std::size_t>(s.out_channels)), sums_of_squares(sums.size());
      const auto values = y.to_vector();
      for (std::size_t i = 0; i < values.size(); ++i) {
        const double v = static_cast<double>(values[i]);
        Exact &one = sums[channel(s.output(), i)], &two = sums_of_squares[channel(s.output(), i)];
        one.value += v;
        one.size += std::abs(v);
        two.value += v * v;
        two.size += 2 * v * v;
      }
      for (auto* e : {&sums, &sums_of_squares})
        for (Exact& v : *e) v.products = v.size;  // of sums in float, with y before or after its rounding
      check_close<T>(sum, sums);
      check_close<T>(squares, sums_of_squares);
    }
  }
}

TEST_CASE_TEMPLATE("cudnn: the gradient of a convolution's input through the ReLU before it", T, float,
                   bfloat16) {
  for (const auto& s : even_shapes()) {
    CAPTURE(to_string(s.input()));
    CAPTURE(to_string(s.weight()));
    const Values w = numbers<T>(s.weight(), 1), dy = numbers<T>(s.output(), 2),
                 before = numbers<T>(s.input(), 3);
    const auto tw = image<T>(s.weight(), w), tdy = image<T>(s.output(), dy),
               mask = image<T>(s.input(), before);
    auto exact = exact_backward_data(s, w, dy);
    for (std::size_t i = 0; i < exact.size(); ++i)
      if (!(before[i] > 0)) exact[i] = {};
    poison<T>(s.input());
    Tensor<T, Cuda> dx(s.input(), Layout::channels_last());
    detail::run_conv<T>({.pass = Pass::backward_data, .relu = true}, s,
                        std::vector<cudnn::Operand>{{ConvOperand::w, tw.data()},
                                                    {ConvOperand::dy, tdy.data()},
                                                    {ConvOperand::mask, mask.data()},
                                                    {ConvOperand::dx, dx.mutable_data()}});
    check_close<T>(dx, exact);
  }
}

TEST_CASE_TEMPLATE("cudnn: a NaN passes the ReLU, and reaches its neighbourhood alone", T, float, bfloat16) {
  const auto s = conv({1, 8, 9, 9}, {16, 8, 3, 3}, {.padding = 1});
  Values x = numbers<T>(s.input(), 1);
  x[4 * 9 + 4] = std::numeric_limits<double>::quiet_NaN();  // channel 0, row 4, column 4
  const auto tx = image<T>(s.input(), x), tw = image<T>(s.weight(), numbers<T>(s.weight(), 2));
  const auto bias = vector<T>(numbers<T>({s.out_channels}, 3));
  // A direct convolution touches the nine results around it; Winograd's tiles may touch a few more, never
  // all.
  const auto y = ConvCudnn<T>::forward(s, tx, tw, &bias, true).to_vector();
  for (std::size_t i = 0; i < y.size(); ++i) {
    const auto row = static_cast<std::int64_t>(i / 9 % 9), column = static_cast<std::int64_t>(i % 9);
    if (std::abs(row - 4) <= 1 && std::abs(column - 4) <= 1) CHECK(std::isnan(static_cast<float>(y[i])));
  }
  CHECK(std::ranges::any_of(y, [](T v) { return std::isfinite(static_cast<float>(v)); }));
}

TEST_CASE("cudnn: a run's choices can be written out; an unknown graph is refused by name") {
  const auto s = conv({2, 8, 6, 6}, {8, 8, 3, 3}, {.padding = 1});
  const auto x = image<float>(s.input(), numbers<float>(s.input(), 1)),
             w = image<float>(s.weight(), numbers<float>(s.weight(), 2));
  ConvCudnn<float>::forward(s, x, w, nullptr, false);
  auto& plans = cudnn::Context::instance().plans();
  const std::string choices = plans.export_choices();
  CHECK(choices.find(detail::conv_key({}, s, "float32") + " = eng") != choices.npos);
  const std::size_t graphs = plans.size();
  CHECK(plans.import_choices(choices) == 0);  // all of them are decided
  ConvCudnn<float>::forward(s, x, w, nullptr, false);
  CHECK(plans.size() == graphs);

  const WithMath strict({.strict_fp32 = true});  // statistics have engines on tensor cores alone
  CHECK_THROWS_WITH_AS(detail::run_conv<float>({.statistics = true}, s, std::vector<cudnn::Operand>{}),
                       doctest::Contains("forward+statistics float32 x 2,8,6,6"), cudnn::NoPlanError);
}
