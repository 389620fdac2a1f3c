
#include "support/op_check.hpp"

#include "support/device.hpp"
#if !defined(__CUDACC__)
#include "kfer/ops/cast/cast_cpu.hpp"
#include "kfer/ops/elementwise/binary_cpu.hpp"
#endif
#if defined(KFER_TEST_GPU)
#include "kfer/ops/cast/cast_cuda.hpp"
#include "kfer/ops/elementwise/binary_cuda.hpp"
#endif

using namespace kfer;
using test::numbers;

namespace {
/// What an element becomes: by way of the host's own conversions.
template <class U, class T>
std::vector<double> converted(const std::vector<T>& values) {
  std::vector<double> out;
  for (const T v : values) out.push_back(static_cast<double>(static_cast<U>(v)));
  return out;
}
template <class T>
std::vector<double> doubles(const std::vector<T>& values) {
  return {values.begin(), values.end()};
}
}  // namespace

TEST_CASE_TEMPLATE("casts of tensors between all types, in every memory order", D, test::TestDevice) {
  const auto pair = [](auto from, auto to) {
    using T = decltype(from);
    using U = decltype(to);
    for (const Shape& shape : {Shape{2, 16, 3, 5}, {1, 17, 3, 3}, {3, 3, 9, 7}, {1001}, {}, {0, 4}}) {
      const std::vector<double> source = numbers(shape, 5, 0, 100).to_vector();
      const std::vector<T> values(source.begin(), source.end());
      for (const Layout& layout : test::layouts_of(shape)) {
        const auto x = to_device<D>(Tensor<T, Cpu>(shape, std::span<const T>(values)).to(layout));
        INFO(dtype_name<T>(), " to ", dtype_name<U>(), ", shape ", to_string(shape), ", ", to_string(layout));
        const auto y = cast<U>(x);
        CHECK(doubles(y.to_vector()) == converted<U>(values));
        if constexpr (FloatingElement<U>) {
          CHECK(y.layout() == layout);
          for (const Layout& other : test::layouts_of(shape)) {
            const auto z = cast<U>(x, other);
            CHECK(z.layout() == other);
            CHECK(doubles(z.to_vector()) == converted<U>(values));
          }
          if (shape.rank() == 4) {
            const auto z = cast<U>(x, Layout::channel_blocked(8));  // padding is zero, also after a cast back
            CHECK(doubles(z.to_vector()) == converted<U>(values));
            const auto stored = to_device<Cpu>(cast<float>(z));
            double sum = 0, expected = 0;
            for (std::int64_t i = 0; i < stored.storage_size(); ++i) sum += double{stored.data()[i]};
            for (const double v : converted<U>(values)) expected += v;
            CHECK(sum == doctest::Approx(expected));
          }
        }
      }
    }
  };
  const auto from = [&](auto zero) {
    pair(zero, float{});
    pair(zero, double{});
    pair(zero, bfloat16{});
    pair(zero, std::uint8_t{});
    pair(zero, std::int64_t{});
  };
  from(float{});
  from(double{});
  from(bfloat16{});
  from(std::uint8_t{});
  from(std::int32_t{});
  from(std::int64_t{});
}

TEST_CASE_TEMPLATE("rounding, infinities and NaNs survive a cast", D, test::TestDevice) {
  const Tensor<float, D> x({6}, {1 + 0x1p-8f, 1 + 3 * 0x1p-8f, -INFINITY, 3.4e38f, NAN, -0.0f});
  const auto y = cast<float>(cast<bfloat16>(x)).to_vector();
  CHECK(y[0] == 1);                // ties to even
  CHECK(y[1] == 1 + 4 * 0x1p-8f);  // ties to even
  CHECK(y[2] == -INFINITY);
  CHECK(y[3] == INFINITY);
  CHECK(std::isnan(y[4]));
  CHECK(std::signbit(y[5]));
  CHECK_THROWS_AS(cast<std::int32_t>(x), ValueError);
}

TEST_CASE_TEMPLATE("the gradient of a cast is cast back", D, test::TestDevice) {
  for (const Shape& shape : {Shape{2, 16, 3, 5}, {13}, {}, {0, 4}}) {
    const Variable<float, D> x(to_device<D>(cast<float>(numbers(shape, 1))), true);
    const auto y = cast<bfloat16>(x);
    static_assert(std::same_as<std::decay_t<decltype(y)>, Variable<bfloat16, D>>);
    CHECK(doubles(y.value().to_vector()) == converted<bfloat16>(x.value().to_vector()));
    const auto z = cast<float>(y) + cast<float>(y);
    const auto dz = cast<float>(numbers(shape, 2));
    backward(z, to_device<D>(dz));
    REQUIRE(x.has_grad());
    const auto grad = x.grad().to_vector();
    const auto rounded = cast<bfloat16>(dz).to_vector();
    for (std::size_t i = 0; i < grad.size(); ++i) CHECK(grad[i] == 2 * float{rounded[i]});
  }
  const Variable<float, D> x(ones<float, D>({3}), true);
  const auto same = cast<float>(x);
  CHECK(same.value().data() == x.value().data());
  CHECK(same.is_leaf());
  gradcheck<D>([](const auto& v) { return cast<double>(v[0]); }, {numbers({5}, 3)});
  const NoGrad no_grad;
  CHECK(!cast<bfloat16>(x).requires_grad());
}

TEST_CASE_TEMPLATE("constants of every type", D, test::TestDevice) {
  for (const std::int64_t n : {0, 1, 15, 16, 17, 1009, 40000}) {
    CHECK(full<float, D>({n}, 1.5f).to_vector() == std::vector<float>(static_cast<std::size_t>(n), 1.5f));
    CHECK(full<std::uint8_t, D>({n}, 7).to_vector() ==
          std::vector<std::uint8_t>(static_cast<std::size_t>(n), 7));
    CHECK(ones<std::int64_t, D>({n}).to_vector() ==
          std::vector<std::int64_t>(static_cast<std::size_t>(n), 1));
    for (const bfloat16 v : ones<bfloat16, D>({n}).to_vector()) CHECK(float{v} == 1);
  }
}
