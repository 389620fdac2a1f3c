// Copies of tensors between devices.
#pragma once

#include <concepts>

#include "kfer/device/cpu.hpp"
#include "kfer/tensor/tensor.hpp"

namespace kfer {

/// The same elements in the same memory order on device `To`; the tensor itself if it is there already.
template <class To, Element T, class From>
Tensor<T, To> to_device(const Tensor<T, From>& x) {
  if constexpr (std::same_as<To, From>) {
    return x;
  } else {
    const auto bytes = static_cast<std::size_t>(x.storage_size()) * sizeof(T);
    Tensor<T, To> out(x.shape(), x.layout());
    if (bytes == 0) return out;
    if constexpr (std::same_as<From, Cpu>) {
      To::copy_from_host(out.mutable_data(), x.data(), bytes);
    } else if constexpr (std::same_as<To, Cpu>) {
      From::copy_to_host(out.mutable_data(), x.data(), bytes);
    } else {
      return to_device<To>(to_device<Cpu>(x));
    }
    return out;
  }
}

}  // namespace kfer
