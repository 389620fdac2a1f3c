#include "kfer/device/with_device.hpp"

#include <doctest/doctest.h>

#include <string>

#include "kfer/tensor/create.hpp"

using namespace kfer;

namespace {
std::string failure(const char* name) {
  try {
    with_device(name, [](auto) { FAIL("ran on a device that does not exist"); });
  } catch (const DeviceError& e) {
    return e.what();
  }
  return {};
}
}  // namespace

TEST_CASE("with_device runs on the device of that name and returns what it returns") {
  CHECK(with_device("cpu", []<class D>(D) { return std::string(D::name); }) == "cpu");
  int value = 0;
  int& same = with_device(
      "cpu", [&]<class D>(D) -> int& { return value = static_cast<int>(ones<float, D>({3}).numel()); });
  CHECK(&same == &value);
  CHECK(value == 3);
  CHECK_THROWS_WITH(with_device("cpu", [](auto) { throw Error("from inside"); }), "from inside");
}

TEST_CASE("an unknown device, or one that is not compiled in, is an error that says so") {
  CHECK(failure("cuda").find("built without CUDA") != std::string::npos);
  for (const char* name : {"tpu", "", "CPU", "cpu ", "cuda:0"}) {
    const std::string message = failure(name);
    CHECK(message.find(std::string("device ") + name + " is not known") != std::string::npos);
    CHECK(message.find("expected cpu or cuda") != std::string::npos);
  }
}
