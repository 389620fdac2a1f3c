// The one place where a program chooses its device at run time.
//
// The Cuda half of a program is compiled by nvcc, the rest by the C++ compiler. A template that is declared
// in a header and defined for each device in a file of its own is all there is between them; no macro changes
// the body of a function:
//
//   work.hpp        template <class D> Result work_on(const Options& options);  // declared alone
//   work_impl.hpp   template <class D> Result work_on(const Options& options) { ... Tensor<float, D> ... }
//   work_cpu.cpp    #include "work_impl.hpp"
//                   template Result work_on<Cpu>(const Options&);
//   work_cuda.cu    #include "work_impl.hpp"
//                   template Result work_on<Cuda>(const Options&);
//   main.cpp        #include "work.hpp"
//                   return with_device(name, [&]<class D>(D) { return work_on<D>(options); });
//
// A program that links kfer::cuda has both files and chooses among Cpu and Cuda; one that links kfer::kfer
// leaves the .cu out and has the Cpu alone.
#pragma once

#include <string_view>
#include <utility>

#include "kfer/core/error.hpp"
#include "kfer/device/cpu.hpp"

#if defined(KFER_CUDA) && KFER_CUDA  // defined by the target kfer::cuda, for all sources of a program
#include "kfer/device/cuda.hpp"
#endif

namespace kfer {
namespace detail {

template <class... Devices>
struct DeviceList {};

/// The devices of this program. The list is part of the type of every function that depends on it, so that
/// programs may even mix sources with and without kfer::cuda.
#if defined(KFER_CUDA) && KFER_CUDA
using BuiltDevices = DeviceList<Cpu, Cuda>;
#else
using BuiltDevices = DeviceList<Cpu>;
#endif

template <class Run, class First, class... Rest>
decltype(auto) run_on_device(DeviceList<First, Rest...>, std::string_view name, Run&& run) {
  if constexpr (sizeof...(Rest) > 0) {
    if (name != First::name) return run_on_device(DeviceList<Rest...>(), name, std::forward<Run>(run));
  } else {
    require<DeviceError>(name != "cuda" || First::name == "cuda",
                         "device cuda: this program was built without CUDA; use --device cpu");
    require<DeviceError>(name == First::name, "device ", name, " is not known; expected cpu or cuda");
  }
  if constexpr (requires { First::available().reason; }) {
    const auto state = First::available();
    require<DeviceError>(static_cast<bool>(state), "device ", First::name, ": ", state.reason,
                         "; use --device cpu");
  }
  return std::forward<Run>(run)(First());
}

}  // namespace detail

/// Calls `run(device tag)` for the one of `Devices` that has this name:
/// `with_device<Cpu, Cuda>("cuda", [&]<class D>(D) { ... })`. `run` returns the same type for all of them.
///
/// Throws DeviceError for a device that is not among them, and for a GPU that this machine does not have:
/// there is no silent fall-back.
template <class... Devices, class Run>
requires(sizeof...(Devices) > 0) decltype(auto) with_device(std::string_view name, Run&& run) {
  return detail::run_on_device(detail::DeviceList<Devices...>(), name, std::forward<Run>(run));
}

/// The same among the devices that this program was built for: Cpu, and Cuda where it links kfer::cuda.
template <class Run, class Devices = detail::BuiltDevices>
decltype(auto) with_device(std::string_view name, Run&& run) {
  return detail::run_on_device(Devices(), name, std::forward<Run>(run));
}

}  // namespace kfer
