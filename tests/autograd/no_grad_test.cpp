#include "kfer/autograd/no_grad.hpp"

#include <doctest/doctest.h>

#include <stdexcept>
#include <thread>

#include "kfer/ops/elementwise/binary_cpu.hpp"

using namespace kfer;

TEST_CASE("NoGrad nests, and ends with its scope however that is left") {
  CHECK(grad_enabled());
  {
    NoGrad outer;
    CHECK_FALSE(grad_enabled());
    {
      NoGrad inner;
      CHECK_FALSE(grad_enabled());
    }
    CHECK_FALSE(grad_enabled());
  }
  CHECK(grad_enabled());
  try {
    NoGrad until_the_exception;
    throw std::runtime_error("out");
  } catch (const std::runtime_error&) {
  }
  CHECK(grad_enabled());
}

TEST_CASE("under NoGrad nothing is recorded and nothing is kept") {
  const Variable<float> w(ones<float>({1000}), true);
  CHECK(will_record(w));
  const std::size_t before = Cpu::bytes_in_use();
  NoGrad no_grad;
  CHECK_FALSE(will_record(w));
  auto y = w + w;
  const std::size_t one = Cpu::bytes_in_use() - before;
  CHECK_FALSE(y.requires_grad());
  CHECK(y.is_leaf());
  for (int i = 0; i < 5; ++i) y = y + w;
  CHECK(Cpu::bytes_in_use() - before == one);
}

TEST_CASE("NoGrad is a matter of one thread") {
  NoGrad no_grad;
  bool other = false;
  std::thread([&] { other = grad_enabled(); }).join();
  CHECK(other);
}
