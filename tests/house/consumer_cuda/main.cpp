// A user's program: the device is chosen at run time; where there is no GPU, asking for one is an error that
// says so.
#include <kfer/device/with_device.hpp>

#include <cstdio>
#include <string>

#include "work.hpp"

int main() {
  const std::vector<float> values{1, 2, 3.5f}, expected{2, 4, 7};
  const auto run = [&](const char* device) {
    return kfer::with_device(device, [&]<class D>(D) { return doubled_on<D>(values); });
  };
  if (run("cpu") != expected) return 1;
  if (kfer::Cuda::available()) return run("cuda") != expected;
  try {
    run("cuda");
  } catch (const kfer::DeviceError& e) {
    std::printf("%s\n", e.what());
    return std::string(e.what()).find("built without") != std::string::npos;
  }
  return 1;
}
