// Optimisers' machinery: memory orders, missing gradients, saved state, clipping, schedules.
#include <doctest/doctest.h>

#include "kfer/optim/schedule.hpp"
#include "kfer/tensor/compare.hpp"

#include "support/device.hpp"
#if !defined(__CUDACC__)
#include "kfer/ops/elementwise/unary_cpu.hpp"
#include "kfer/optim/adam_cpu.hpp"
#include "kfer/optim/clip_cpu.hpp"
#include "kfer/optim/sgd_cpu.hpp"
#endif
#if defined(KFER_TEST_GPU)
#include "kfer/ops/elementwise/unary_cuda.hpp"
#include "kfer/optim/adam_cuda.hpp"
#include "kfer/optim/clip_cuda.hpp"
#include "kfer/optim/sgd_cuda.hpp"
#endif

using namespace kfer;

namespace {

using D = test::TestDevice;
using Var = Variable<float, D>;
using Named = std::vector<std::pair<std::string, Var>>;
using FloatAdam = Adam<float, D>;
using FloatSgd = Sgd<float, D>;

Var leaf(const Shape& shape, std::uint64_t stream) {
  return Var(uniform<float, D>(shape, {3, stream}, -1, 1), true);
}
void give_gradient(Var& v, std::uint64_t stream) {
  v.zero_grad();
  v.accumulate_grad(uniform<float, D>(v.shape(), {4, stream}, -1, 1));
}
bool same_bits(const Tensor<float, D>& a, const Tensor<float, D>& b) {
  return a.to_vector() == b.to_vector();
}

}  // namespace

TEST_CASE("Adam's first step moves every weight by the rate, against the gradient's sign") {
  // m / (1 - beta1) = g and sqrt(v / (1 - beta2)) = |g|, whatever the betas.
  for (const std::int64_t n : {1, 7, 8, 9, 64, 16383, 16384, 16385, 50021}) {
    Var w(zeros<float, D>({n}), true);
    give_gradient(w, 1);
    FloatAdam adam(Named{{"w", w}}, {.lr = 0.25, .epsilon = 1e-12});
    adam.step();
    const auto g = w.grad().to_vector(), moved = w.value().to_vector();
    double worst = 0;
    for (std::size_t i = 0; i < moved.size(); ++i)
      worst = std::max(worst, std::abs(double{moved[i]} + (g[i] > 0 ? 0.25 : -0.25)));
    CHECK(worst < 1e-6);
  }
}

TEST_CASE("a step does not depend on memory order, thread count or a change of order on the way") {
  const Shape shape{17, 16, 3, 5};
  const auto run = [&](const Layout& first, const Layout& later, const Layout& gradient, int threads) {
    const int before = num_threads();
    set_num_threads(threads);
    auto w = leaf(shape, 1), b = leaf({5}, 2);
    w.mutable_value() = w.value().to(first);
    FloatAdam adam(Named{{"w", w}, {"b", b}}, {.lr = 0.01, .weight_decay = 0.1, .amsgrad = true});
    for (std::uint64_t t = 0; t < 4; ++t) {
      if (t == 2) w.mutable_value() = w.value().to(later);
      give_gradient(w, 10 + t);
      give_gradient(b, 20 + t);
      w.mutable_grad() = w.grad().to(gradient);
      adam.step();
    }
    set_num_threads(before);
    CHECK(w.value().layout() == later);
    return std::pair(w.value().row_major(), adam.state());
  };
  const Layout plain = Layout::row_major(4), last = Layout::channels_last();
  const Layout blocked({0, 1, 2, 3}, {{1, 8}, {0, 8}});  // 17 is padded to 24
  const auto [expected, state] = run(plain, plain, plain, 1);
  REQUIRE(state.size() == 6);
  for (const auto& [first, later, gradient] :
       {std::tuple(plain, last, blocked), std::tuple(blocked, blocked, plain),
        std::tuple(last, blocked, last)}) {
    const auto [w, moments] = run(first, later, gradient, 2);
    CHECK(largest_difference(w, expected) < 1e-6);
    REQUIRE(moments.size() == state.size());
    for (std::size_t i = 0; i < state.size(); ++i) {
      CHECK(moments[i].first == state[i].first);
      CHECK(largest_difference(moments[i].second, state[i].second) < 1e-6);
    }
  }
  CHECK(same_bits(run(blocked, blocked, blocked, 1).first, run(blocked, blocked, blocked, 2).first));
}

TEST_CASE("a step writes only to the model's own weights, and in place when nobody shares them") {
  auto w = leaf({1000}, 1);
  FloatAdam adam(Named{{"w", w}});
  give_gradient(w, 2);
  const Tensor<float, D> snapshot = w.value();
  const auto values = snapshot.to_vector();
  adam.step();
  CHECK(snapshot.to_vector() == values);
  CHECK(w.value().to_vector() != values);
  const float* data = w.value().data();
  const auto* gradient = w.grad().data();
  adam.step();
  CHECK(w.value().data() == data);
  CHECK(w.grad().data() == gradient);
}

TEST_CASE("parameters without a gradient stay; none at all is an error") {
  auto a = leaf({4}, 1), b = leaf({4}, 2);
  const auto before = b.value().to_vector();
  FloatAdam adam(Named{{"a", a}, {"b", b}}, {.weight_decay = 0.5});
  CHECK_THROWS_AS(adam.step(), ValueError);
  CHECK(adam.steps() == 0);
  give_gradient(a, 3);
  adam.step();
  CHECK(b.value().to_vector() == before);
  CHECK(adam.state().size() == 2);  // nothing for b yet
  adam.zero_grad();
  CHECK(!a.has_grad());
}

#if defined(KFER_TEST_GPU)
TEST_CASE("a first step cannot be captured, and leaves no moments that were never written") {
  auto w = leaf({5}, 1);
  give_gradient(w, 2);
  FloatAdam adam(Named{{"w", w}});
  CHECK_THROWS_WITH_AS(captured_graph<D>::type::capture([&] { adam.apply(); }),
                       doctest::Contains("the first step of 'w' cannot be captured"), DeviceError);
  CHECK(adam.state().empty());
  adam.step();
  for (const auto& [name, moment] : adam.state())
    for (const float v : moment.to_vector()) CHECK(std::isfinite(v));
}
#endif

TEST_CASE_TEMPLATE("an optimiser continued from its saved state takes the same steps, bit for bit", Optimizer,
                   FloatAdam, FloatSgd) {
  const auto make = [](Var& w, Var& b) {
    if constexpr (std::is_same_v<Optimizer, FloatAdam>)
      return Optimizer(Named{{"w", w}, {"b", b}}, {.lr = 0.1, .amsgrad = true});
    else
      return Optimizer(Named{{"w", w}, {"b", b}}, {.lr = 0.1, .momentum = 0.9, .dampening = 0.5});
  };
  const auto advance = [](Optimizer& o, Var& w, Var& b, std::uint64_t from, std::uint64_t to) {
    for (; from < to; ++from) {
      give_gradient(w, 10 + from);
      give_gradient(b, 30 + from);
      o.step();
    }
  };
  auto w = leaf({3, 19}, 1), b = leaf({1}, 2);
  auto straight = make(w, b);
  advance(straight, w, b, 0, 3);
  const Tensor<float, D> w3 = w.value(), b3 = b.value();
  const auto state = straight.state();
  advance(straight, w, b, 3, 6);

  Var w2(w3, true), b2(b3, true);
  auto continued = make(w2, b2);
  continued.load_state(state, 3);
  CHECK(continued.steps() == 3);
  advance(continued, w2, b2, 3, 6);
  CHECK(same_bits(w2.value(), w.value()));
  CHECK(same_bits(b2.value(), b.value()));
}

TEST_CASE("saved state that does not fit is refused and changes nothing") {
  auto w = leaf({3}, 1);
  give_gradient(w, 2);
  FloatAdam adam(Named{{"w", w}});
  adam.step();
  const auto state = adam.state();
  auto wrong_shape = state;
  wrong_shape[1].second = zeros<float, D>({4});
  CHECK_THROWS_WITH_AS(adam.load_state(wrong_shape, 1), "optimiser state 'v.w': expected [3], got [4]",
                       ShapeError);
  auto unknown = state;
  unknown.emplace_back("m.other", zeros<float, D>({3}));
  CHECK_THROWS_WITH_AS(adam.load_state(unknown, 1),
                       "optimiser state: 'm.other' belongs to no parameter of this optimiser", ValueError);
  auto half = state;
  half.pop_back();
  CHECK_THROWS_WITH_AS(adam.load_state(half, 1), "optimiser state of 'w': expected 2 moments, got 1",
                       ValueError);
  CHECK_THROWS_AS(adam.load_state(state, -1), ValueError);
  REQUIRE(adam.state().size() == 2);
  CHECK(same_bits(adam.state()[0].second, state[0].second));
  CHECK(adam.steps() == 1);
}

TEST_CASE("options out of range are refused") {
  auto w = leaf({3}, 1);
  const Named named{{"w", w}};
  CHECK_THROWS_AS(FloatAdam(Named{}), ValueError);
  CHECK_THROWS_AS(FloatAdam(Named{{"w", w}, {"w", w}}), ValueError);
  CHECK_THROWS_AS(FloatAdam(named, {.beta1 = 1}), ValueError);
  CHECK_THROWS_AS(FloatAdam(named, {.beta2 = -0.1}), ValueError);
  CHECK_THROWS_AS(FloatAdam(named, {.beta2 = NAN}), ValueError);
  CHECK_THROWS_AS(FloatAdam(named, {.epsilon = 0}), ValueError);
  CHECK_THROWS_AS(FloatAdam(named, {.weight_decay = -1}), ValueError);
  CHECK_THROWS_AS(FloatSgd(named, {.momentum = 1}), ValueError);
  CHECK_THROWS_AS(FloatSgd(named, {.nesterov = true}), ValueError);
  for (const double dampening : {-0.1, 1.5, double{NAN}})
    CHECK_THROWS_AS(FloatSgd(named, {.momentum = 0.9, .dampening = dampening}), ValueError);
  FloatAdam adam(named);
  give_gradient(w, 1);
  adam.lr = NAN;
  CHECK_THROWS_AS(adam.step(), ValueError);
}

TEST_CASE("the global norm is that of all gradients together, and clipping scales them alike") {
  auto a = leaf({3, 4}, 1), b = leaf({40000}, 2), none = leaf({2}, 3);
  give_gradient(a, 4);
  give_gradient(b, 5);
  Named named{{"a", a}, {"none", none}, {"b", b}};
  long double sum = 0;
  for (const auto* v : {&a, &b})
    for (const float g : v->grad().to_vector()) sum += static_cast<long double>(g) * g;
  const double expected = std::sqrt(static_cast<double>(sum));
  CHECK(global_norm(named) == doctest::Approx(expected).epsilon(1e-12));
  const int before = num_threads();
  set_num_threads(1);
  const double alone = global_norm(named);
  set_num_threads(3);
  CHECK(global_norm(named) == alone);
  set_num_threads(before);

  CHECK(clip_scale(4, 2) == 0.5);
  CHECK(clip_scale(1, 2) == 1);
  CHECK_THROWS_AS(clip_scale(1, 0), ValueError);
  const float first = a.grad().to_vector()[0];
  CHECK(clip_global_norm(named, expected * 2) == alone);
  CHECK(a.grad().to_vector()[0] == first);
  clip_global_norm(named, expected / 4);
  CHECK(global_norm(named) == doctest::Approx(expected / 4).epsilon(1e-6));
  CHECK(a.grad().to_vector()[0] == doctest::Approx(first / 4).epsilon(1e-6));
  clip_value(named, 1e-3);
  for (const float g : b.grad().to_vector()) REQUIRE(std::abs(g) <= 1e-3f);
}

TEST_CASE("a scale handed to the step equals scaled gradients") {
  auto a = leaf({100}, 1);
  Var b(a.value(), true);
  give_gradient(a, 2);
  b.accumulate_grad(a.grad());
  Named named{{"b", b}};
  clip_impl<float, D>::scale(b.mutable_grad(), 0.5);
  FloatSgd one(Named{{"a", a}}), two(named);
  one.step(0.5);
  two.step();
  CHECK(largest_difference(a.value(), b.value()) < 1e-7);
}

TEST_CASE("a gradient that is not finite is named") {
  for (const float bad : {NAN, HUGE_VALF, -HUGE_VALF}) {
    auto a = leaf({3}, 1), b = leaf({20000}, 2);
    give_gradient(a, 3);
    give_gradient(b, 4);
    auto values = b.grad().to_vector();
    values[19999] = bad;
    b.mutable_grad() = Tensor<float, D>({20000}, std::span<const float>(values));
    Named named{{"layer1.weight", a}, {"fc.weight", b}};
    CHECK(first_non_finite_gradient(named) == "fc.weight");
    CHECK_THROWS_WITH_AS(global_norm(named), "the gradient of 'fc.weight' is not finite", NumericError);
    CHECK_THROWS_AS(clip_global_norm(named, 1), NumericError);
    if (std::isnan(bad)) {
      CHECK_THROWS_AS(clip_value(named, 1), NumericError);
    } else {
      clip_value(named, 1);
      CHECK(std::abs(b.grad().to_vector()[19999]) == 1);
      CHECK(!first_non_finite_gradient(named));
    }
  }
}

TEST_CASE("schedules") {
  CHECK(ConstantRate{0.1}(1000) == 0.1);
  const ExponentialDecay decay{1e-5, 0.95, 4850};  // 10 epochs of 485 steps
  CHECK(decay(0) == 1e-5);
  CHECK(decay(4850) == doctest::Approx(0.95e-5));
  CHECK(decay(2425) == doctest::Approx(1e-5 * std::sqrt(0.95)));
  CHECK(decay(9700) == doctest::Approx(1e-5 * 0.95 * 0.95));
  const StepDecay steps{1, 0.1, 30};
  CHECK(steps(29) == 1);
  CHECK(steps(30) == doctest::Approx(0.1));
  CHECK(steps(90) == doctest::Approx(1e-3));
  CHECK_THROWS_WITH_AS((StepDecay{1, 0.1, 0}(5)), doctest::Contains("every"), ValueError);
  CHECK_THROWS_WITH_AS((ExponentialDecay{1, 0.9, 0}(0)), doctest::Contains("decay_steps"), ValueError);
  const CosineDecay cosine{2, 100, 1};
  CHECK(cosine(0) == 2);
  CHECK(cosine(50) == doctest::Approx(1.5));
  CHECK(cosine(100) == 1);
  CHECK(cosine(1000) == 1);
  const Schedule warm = WarmUp{10, ConstantRate{1}, 0.5};
  CHECK(warm(0) == 0.5);
  CHECK(warm(5) == 0.75);
  CHECK(warm(10) == 1);
  CHECK(warm(11) == 1);
}
