#include "kfer/device/with_device.hpp"

#include <doctest/doctest.h>

#include <string>

#include "kfer/tensor/create.hpp"
#include "kfer/train/run.hpp"

using namespace kfer;

namespace {

struct State {
  bool available;
  std::string reason;
  explicit operator bool() const { return available; }
};
/// GPUs that are there, and that are not.
struct Present {
  static constexpr std::string_view name = "cuda";
  static State available() { return {true, ""}; }
};
struct Absent {
  static constexpr std::string_view name = "cuda";
  static State available() { return {false, "no GPU driver on this machine"}; }
};

template <class... Devices>
std::string failure(const char* name) {
  const auto run = [](auto) { FAIL("ran on a device that does not exist"); };
  try {
    if constexpr (sizeof...(Devices))
      with_device<Devices...>(name, run);
    else
      with_device(name, run);
  } catch (const DeviceError& e) {
    return e.what();
  }
  return {};
}
const auto name_of = []<class D>(D) { return std::string(D::name); };

}  // namespace

TEST_CASE("with_device runs on the device of that name and returns what it returns") {
  CHECK(with_device("cpu", name_of) == "cpu");
  int value = 0;
  int& same = with_device(
      "cpu", [&]<class D>(D) -> int& { return value = static_cast<int>(ones<float, D>({3}).numel()); });
  CHECK(&same == &value);
  CHECK(value == 3);
  CHECK_THROWS_WITH(with_device("cpu", [](auto) { throw Error("from inside"); }), "from inside");
}

TEST_CASE("with_device chooses among the devices that it is given") {
  CHECK(with_device<Cpu, Present>("cpu", name_of) == "cpu");
  CHECK(with_device<Cpu, Present>("cuda", name_of) == "cuda");
  CHECK(with_device<Present, Cpu>("cpu", name_of) == "cpu");
  CHECK(with_device<Present>("cuda", name_of) == "cuda");
  CHECK(with_device<Cpu, Absent>("cpu", name_of) == "cpu");  // not asked whether it is there
  int runs = 0;
  with_device<Cpu, Present>("cuda", [&](auto) { ++runs; });
  CHECK(runs == 1);
  int value = 0;
  CHECK(&with_device<Cpu, Present>("cuda", [&](auto) -> int& { return value; }) == &value);
}

TEST_CASE("an unknown device, or one that is not compiled in, is an error that says so") {
  CHECK(failure<>("cuda").find("built without CUDA") != std::string::npos);
  CHECK(failure<Cpu>("cuda") == failure<>("cuda"));
  for (const char* name : {"tpu", "", "CPU", "cpu ", "cuda:0"})
    for (const std::string& message :
         {failure<>(name), failure<Cpu, Present>(name), failure<Present, Cpu>(name)}) {
      CHECK(message.find(std::string("device ") + name + " is not known") != std::string::npos);
      CHECK(message.find("expected cpu or cuda") != std::string::npos);
    }
}

TEST_CASE("a GPU that is not there is another error, with its reason, in one line and exit code 2") {
  const std::string message = failure<Cpu, Absent>("cuda");
  CHECK(message == "device cuda: no GPU driver on this machine; use --device cpu");
  CHECK(failure<Absent, Cpu>("cuda") == message);
  const auto program = [](const char* device) {
    return run_program("test", [&] { return with_device<Cpu, Absent>(device, [](auto) { return 0; }); });
  };
  CHECK(program("cpu") == 0);
  CHECK(program("cuda") == exit_error);
}
