// Optimisers against the trajectories that PyTorch and Keras computed in float64 (tools/make_oracles.py).
#include "kfer/optim/schedule.hpp"

#include "support/golden.hpp"

#include "support/device.hpp"
#if !defined(__CUDACC__)
#include "kfer/ops/elementwise/unary_cpu.hpp"
#include "kfer/optim/adam_cpu.hpp"
#include "kfer/optim/sgd_cpu.hpp"
#endif
#if defined(KFER_TEST_GPU)
#include "kfer/ops/elementwise/unary_cuda.hpp"
#include "kfer/optim/adam_cuda.hpp"
#include "kfer/optim/sgd_cuda.hpp"
#endif

using namespace kfer;
using test::GoldenCase;

namespace {

using D = test::TestDevice;

template <class T>
using Named = std::vector<std::pair<std::string, Variable<T, D>>>;

/// Steps an optimiser through a case's gradients; returns the largest difference from its weights, over all
/// steps.
template <class T, class Optimizer>
double follow(const GoldenCase& c, Variable<T, D> w, Optimizer& optimizer,
              const std::vector<float>* rates = nullptr) {
  const auto grads = to_device<D>(c.tensor<T>("grads"));
  const auto expected = c.tensor<T>("w");
  double worst = 0;
  for (std::int64_t t = 0; t < grads.size(0); ++t) {
    w.zero_grad();
    w.accumulate_grad(grads.narrow(t, 1).reshape(w.shape()));
    if (rates) optimizer.lr = (*rates)[static_cast<std::size_t>(t)];
    optimizer.step();
    worst = std::max(worst, largest_difference(w.value(), expected.narrow(t, 1).reshape(w.shape())));
  }
  CHECK(optimizer.steps() == grads.size(0));
  return worst;
}

}  // namespace

TEST_CASE_TEMPLATE("optimisers follow PyTorch's trajectories", T, float, double) {
  test::for_each_golden("optim", [](const GoldenCase& c) {
    Variable<T, D> w(to_device<D>(c.tensor<T>("w0")), true);
    Named<T> named{{"w", w}};
    const std::string op = c.string("op");
    double difference = HUGE_VAL;
    if (op == "SGD") {
      Sgd<T, D> sgd(named, {.lr = c.number("lr"),
                            .momentum = c.number("momentum"),
                            .dampening = c.number("dampening"),
                            .nesterov = c.flag("nesterov"),
                            .weight_decay = c.number("weight_decay")});
      difference = follow(c, w, sgd);
    } else {
      Adam<T, D> adam(named, {.lr = c.number("lr"),
                              .beta1 = c.numbers("betas").at(0),
                              .beta2 = c.numbers("betas").at(1),
                              .epsilon = c.number("eps"),
                              .weight_decay = c.number("weight_decay"),
                              .decoupled = op == "AdamW",
                              .amsgrad = c.flag("amsgrad")});
      difference = follow(c, w, adam);
    }
    CHECK(difference < (std::is_same_v<T, float> ? 1e-6 : 1e-7));  // the file itself is float32
  });
}

TEST_CASE_TEMPLATE("Adam with epsilon_hat follows Keras, with its decaying rate", T, float, double) {
  test::for_each_golden("optim_keras", [](const GoldenCase& c) {
    const auto rates = c.tensor<float>("lr").to_vector();
    if (const double every = c.number("decay_steps"); every > 0) {
      const ExponentialDecay schedule{c.number("initial_lr"), c.number("decay_rate"), every};
      for (std::size_t t = 0; t < rates.size(); ++t)
        CHECK(schedule(static_cast<std::int64_t>(t)) == doctest::Approx(rates[t]).epsilon(1e-6));
    }
    Variable<T, D> w(to_device<D>(c.tensor<T>("w0")), true);
    const auto betas = c.numbers("betas");
    Adam<T, D> adam(
        Named<T>{{"w", w}},
        {.beta1 = betas.at(0), .beta2 = betas.at(1), .epsilon = c.number("eps"), .epsilon_hat = true});
    CHECK(follow(c, w, adam, &rates) < (std::is_same_v<T, float> ? 1e-6 : 1e-7));
    // What Keras itself reached: its steps are within 1e-4 of the formula's.
    const auto keras = c.tensor<T>("w_keras");
    const auto last = keras.narrow(keras.size(0) - 1, 1).reshape(w.shape());
    const double path = largest_difference(last, c.tensor<T>("w0"));
    CHECK(largest_difference(w.value(), last) < 3e-4 * path + 1e-7);
  });
}
