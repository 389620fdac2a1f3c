// Errors of cuDNN as kfer's exceptions: the call that failed, cuDNN's status, and what its log says about it.
#pragma once

#include <cudnn.h>

#include <array>

#include "kfer/core/error.hpp"

namespace kfer::cudnn {

/// A call to cuDNN failed.
class Error : public DeviceError {
 public:
  /// `attribute` is the number of the descriptor's attribute that was being set or read; negative if none
  /// was.
  Error(cudnnStatus_t status, std::string_view call, int attribute = -1)
      : DeviceError(message(status, call, attribute)), status_(status) {}

  cudnnStatus_t status() const { return status_; }

 private:
  static std::string message(cudnnStatus_t status, std::string_view call, int attribute) {
    std::array<char, 1024> reason{};
    cudnnGetLastErrorString(reason.data(), reason.size());
    std::string out{call};
    if (attribute >= 0) out += text(" of attribute ", attribute);
    out += text(": ", cudnnGetErrorString(status));
    if (reason[0]) out += text(" (", reason.data(), ')');
    return out;
  }

  cudnnStatus_t status_;
};

/// No engine of this cuDNN runs a graph on this device under the given filter.
class NoPlanError : public DeviceError {
 public:
  using DeviceError::DeviceError;
};

/// Throws Error unless `status` is success.
inline void check(cudnnStatus_t status, std::string_view call, int attribute = -1) {
  if (status != CUDNN_STATUS_SUCCESS) [[unlikely]]
    throw Error(status, call, attribute);
}

}  // namespace kfer::cudnn
