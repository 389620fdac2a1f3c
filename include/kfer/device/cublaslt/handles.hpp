// cuBLASLt's objects with owners, and its error codes as exceptions.
#pragma once

#include <cublasLt.h>

#include <memory>
#include <string_view>
#include <type_traits>

#include "kfer/core/error.hpp"

namespace kfer::cublaslt {

/// Throws DeviceError naming the call and cuBLAS's name and text of the status.
inline void check(cublasStatus_t status, std::string_view call) {
  if (status == CUBLAS_STATUS_SUCCESS) [[likely]]
    return;
  throw DeviceError(text("cublaslt: ", call, ": ", cublasLtGetStatusString(status), " (",
                         cublasLtGetStatusName(status), ')'));
}

namespace detail {
template <auto destroy>
struct Destroy {
  template <class T>
  void operator()(T* object) const {
    static_cast<void>(destroy(object));
  }
};
template <class Handle, auto destroy>
using Owner = std::unique_ptr<std::remove_pointer_t<Handle>, Destroy<destroy>>;
}  // namespace detail

/// The library's context; costs memory on the device, so one a process.
class Handle {
 public:
  Handle() {
    cublasLtHandle_t handle = nullptr;
    check(cublasLtCreate(&handle), "cublasLtCreate");
    handle_.reset(handle);
  }
  cublasLtHandle_t get() const { return handle_.get(); }

 private:
  detail::Owner<cublasLtHandle_t, &cublasLtDestroy> handle_;
};

/// A column-major matrix in memory.
class MatrixLayout {
 public:
  MatrixLayout(cudaDataType_t type, std::int64_t rows, std::int64_t columns, std::int64_t leading_dimension) {
    cublasLtMatrixLayout_t layout = nullptr;
    check(cublasLtMatrixLayoutCreate(&layout, type, static_cast<std::uint64_t>(rows),
                                     static_cast<std::uint64_t>(columns), leading_dimension),
          "cublasLtMatrixLayoutCreate");
    layout_.reset(layout);
  }
  cublasLtMatrixLayout_t get() const { return layout_.get(); }

 private:
  detail::Owner<cublasLtMatrixLayout_t, &cublasLtMatrixLayoutDestroy> layout_;
};

/// How a product is computed: precision, transpositions, epilogue.
class MatmulDescriptor {
 public:
  MatmulDescriptor(cublasComputeType_t compute, cudaDataType_t scale) {
    cublasLtMatmulDesc_t descriptor = nullptr;
    check(cublasLtMatmulDescCreate(&descriptor, compute, scale), "cublasLtMatmulDescCreate");
    descriptor_.reset(descriptor);
  }
  template <class V>
  void set(cublasLtMatmulDescAttributes_t attribute, const V& value) {
    check(cublasLtMatmulDescSetAttribute(descriptor_.get(), attribute, &value, sizeof value),
          "cublasLtMatmulDescSetAttribute");
  }
  cublasLtMatmulDesc_t get() const { return descriptor_.get(); }

 private:
  detail::Owner<cublasLtMatmulDesc_t, &cublasLtMatmulDescDestroy> descriptor_;
};

/// What the search for an algorithm may assume.
class MatmulPreference {
 public:
  MatmulPreference() {
    cublasLtMatmulPreference_t preference = nullptr;
    check(cublasLtMatmulPreferenceCreate(&preference), "cublasLtMatmulPreferenceCreate");
    preference_.reset(preference);
  }
  template <class V>
  void set(cublasLtMatmulPreferenceAttributes_t attribute, const V& value) {
    check(cublasLtMatmulPreferenceSetAttribute(preference_.get(), attribute, &value, sizeof value),
          "cublasLtMatmulPreferenceSetAttribute");
  }
  cublasLtMatmulPreference_t get() const { return preference_.get(); }

 private:
  detail::Owner<cublasLtMatmulPreference_t, &cublasLtMatmulPreferenceDestroy> preference_;
};

}  // namespace kfer::cublaslt
