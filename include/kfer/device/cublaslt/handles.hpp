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
/// A handle of the library's with its owner; `call` names create in errors.
template <class T, auto create, auto destroy>
class Object {
 public:
  template <class... Parameters>
  explicit Object(std::string_view call, Parameters... parameters) {
    T object = nullptr;
    check(create(&object, parameters...), call);
    object_.reset(object);
  }
  T get() const { return object_.get(); }

 private:
  struct Destroy {
    void operator()(T object) const { static_cast<void>(destroy(object)); }
  };
  std::unique_ptr<std::remove_pointer_t<T>, Destroy> object_;
};
}  // namespace detail

/// The library's context; costs memory on the device, so one a process.
struct Handle : detail::Object<cublasLtHandle_t, &cublasLtCreate, &cublasLtDestroy> {
  Handle() : Object("cublasLtCreate") {}
};

/// A column-major matrix in memory.
struct MatrixLayout
    : detail::Object<cublasLtMatrixLayout_t, &cublasLtMatrixLayoutCreate, &cublasLtMatrixLayoutDestroy> {
  MatrixLayout(cudaDataType_t type, std::int64_t rows, std::int64_t columns, std::int64_t leading_dimension)
      : Object("cublasLtMatrixLayoutCreate", type, static_cast<std::uint64_t>(rows),
               static_cast<std::uint64_t>(columns), leading_dimension) {}
};

/// How a product is computed: precision, transpositions, epilogue.
struct MatmulDescriptor
    : detail::Object<cublasLtMatmulDesc_t, &cublasLtMatmulDescCreate, &cublasLtMatmulDescDestroy> {
  MatmulDescriptor(cublasComputeType_t compute, cudaDataType_t scale)
      : Object("cublasLtMatmulDescCreate", compute, scale) {}
  template <class V>
  void set(cublasLtMatmulDescAttributes_t attribute, const V& value) {
    check(cublasLtMatmulDescSetAttribute(get(), attribute, &value, sizeof value),
          "cublasLtMatmulDescSetAttribute");
  }
};

/// What the search for an algorithm may assume.
struct MatmulPreference : detail::Object<cublasLtMatmulPreference_t, &cublasLtMatmulPreferenceCreate,
                                         &cublasLtMatmulPreferenceDestroy> {
  MatmulPreference() : Object("cublasLtMatmulPreferenceCreate") {}
  template <class V>
  void set(cublasLtMatmulPreferenceAttributes_t attribute, const V& value) {
    check(cublasLtMatmulPreferenceSetAttribute(get(), attribute, &value, sizeof value),
          "cublasLtMatmulPreferenceSetAttribute");
  }
};

}  // namespace kfer::cublaslt
