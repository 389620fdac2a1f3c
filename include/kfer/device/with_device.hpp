// The one place where a program chooses its device at run time.
#pragma once

#include <string_view>

#include "kfer/core/error.hpp"
#include "kfer/device/cpu.hpp"

namespace kfer {

/// Calls `run(device tag)` for the device of this name: `with_device("cpu", [&]<class D>(D) { ... })`.
/// Throws DeviceError for a device that this program was not built for: there is no silent fall-back.
template <class Run>
decltype(auto) with_device(std::string_view name, Run&& run) {
  if (name == "cuda") throw DeviceError("device cuda: this program was built without CUDA; use --device cpu");
  require<DeviceError>(name == Cpu::name, "device ", name, " is not known; expected cpu or cuda");
  return run(Cpu{});
}

}  // namespace kfer
