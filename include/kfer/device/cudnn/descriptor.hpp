// Descriptor: a backend descriptor of cuDNN, owned, with attributes of C++ types.
//
// Everything of cuDNN's graph interface (tensors, operations, graphs, engines, plans) is such a descriptor:
// created by kind, given its attributes, finalised, then constant.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "kfer/device/cudnn/error.hpp"

namespace kfer::cudnn {

/// The tag under which cuDNN takes a value of a C++ type; types that it does not take do not compile.
template <class T>
constexpr cudnnBackendAttributeType_t attribute_type(T) = delete;
// clang-format off
constexpr auto attribute_type(std::int64_t) { return CUDNN_TYPE_INT64; }
constexpr auto attribute_type(std::int32_t) { return CUDNN_TYPE_INT32; }
constexpr auto attribute_type(float) { return CUDNN_TYPE_FLOAT; }
constexpr auto attribute_type(double) { return CUDNN_TYPE_DOUBLE; }
constexpr auto attribute_type(bool) { return CUDNN_TYPE_BOOLEAN; }
constexpr auto attribute_type(char) { return CUDNN_TYPE_CHAR; }
constexpr auto attribute_type(void*) { return CUDNN_TYPE_VOID_PTR; }
constexpr auto attribute_type(cudnnHandle_t) { return CUDNN_TYPE_HANDLE; }
constexpr auto attribute_type(cudnnDataType_t) { return CUDNN_TYPE_DATA_TYPE; }
constexpr auto attribute_type(cudnnConvolutionMode_t) { return CUDNN_TYPE_CONVOLUTION_MODE; }
constexpr auto attribute_type(cudnnPointwiseMode_t) { return CUDNN_TYPE_POINTWISE_MODE; }
constexpr auto attribute_type(cudnnReduceTensorOp_t) { return CUDNN_TYPE_REDUCTION_OPERATOR_TYPE; }
constexpr auto attribute_type(cudnnGenStatsMode_t) { return CUDNN_TYPE_GENSTATS_MODE; }
constexpr auto attribute_type(cudnnBackendNormMode_t) { return CUDNN_TYPE_NORM_MODE; }
constexpr auto attribute_type(cudnnBackendNormFwdPhase_t) { return CUDNN_TYPE_NORM_FWD_PHASE; }
constexpr auto attribute_type(cudnnBackendHeurMode_t) { return CUDNN_TYPE_HEUR_MODE; }
constexpr auto attribute_type(cudnnBackendKnobType_t) { return CUDNN_TYPE_KNOB_TYPE; }
constexpr auto attribute_type(cudnnBackendNumericalNote_t) { return CUDNN_TYPE_NUMERICAL_NOTE; }
constexpr auto attribute_type(cudnnBackendBehaviorNote_t) { return CUDNN_TYPE_BEHAVIOR_NOTE; }
// clang-format on
/// CUDNN_TYPE_NAN_PROPOGATION, a deprecated name.
constexpr auto attribute_type(cudnnNanPropagation_t) {
  return static_cast<cudnnBackendAttributeType_t>(10);
}

/// Move-only. A default-constructed one owns nothing.
class Descriptor {
 public:
  using Kind = cudnnBackendDescriptorType_t;
  using Attribute = cudnnBackendAttributeName_t;

  Descriptor() = default;
  explicit Descriptor(Kind kind) {
    check(cudnnBackendCreateDescriptor(kind, &descriptor_), "cudnnBackendCreateDescriptor", kind);
  }
  Descriptor(Descriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, nullptr)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~Descriptor() {
    if (descriptor_) cudnnBackendDestroyDescriptor(descriptor_);
  }

  cudnnBackendDescriptor_t get() const { return descriptor_; }

  template <class T>
  Descriptor& set(Attribute attribute, std::span<const T> values) {
    return set(attribute, attribute_type(T{}), values.size(), values.data());
  }
  template <class T>
  Descriptor& set(Attribute attribute, const std::vector<T>& values) {
    return set(attribute, std::span<const T>(values));
  }
  template <class T, std::size_t N>
  Descriptor& set(Attribute attribute, const std::array<T, N>& values) {
    return set(attribute, std::span<const T>(values));
  }
  template <class T>
  Descriptor& set(Attribute attribute, const T& value) {
    return set(attribute, std::span<const T>(&value, 1));
  }
  Descriptor& set(Attribute attribute, const Descriptor& value) {
    return set(attribute, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value.descriptor_);
  }
  Descriptor& set(Attribute attribute, const std::vector<Descriptor>& values) {
    std::vector<cudnnBackendDescriptor_t> raw;
    for (const Descriptor& value : values) raw.push_back(value.descriptor_);
    return set(attribute, CUDNN_TYPE_BACKEND_DESCRIPTOR, raw.size(), raw.data());
  }

  /// Checks the attributes and makes the descriptor constant. Throws Error if they do not fit together.
  Descriptor& finalize() {
    check(cudnnBackendFinalize(descriptor_), "cudnnBackendFinalize");
    return *this;
  }
  /// The same where "not supported" is an answer rather than an error.
  bool try_finalize() { return cudnnBackendFinalize(descriptor_) == CUDNN_STATUS_SUCCESS; }

  template <class T>
  T value(Attribute attribute) const {
    T value{};
    std::int64_t count = 0;
    check(cudnnBackendGetAttribute(descriptor_, attribute, attribute_type(T{}), 1, &count, &value),
          "cudnnBackendGetAttribute", attribute);
    return value;
  }
  /// At most `most` values.
  template <class T>
  std::vector<T> values(Attribute attribute, std::int64_t most) const {
    std::vector<T> out(static_cast<std::size_t>(most));
    std::int64_t count = 0;
    check(cudnnBackendGetAttribute(descriptor_, attribute, attribute_type(T{}), most, &count, out.data()),
          "cudnnBackendGetAttribute", attribute);
    out.resize(static_cast<std::size_t>(std::min(count, most)));
    return out;
  }
  /// All descriptors of kind `kind` that an attribute holds; at most `most` of those whose number cuDNN does
  /// not tell, an engine's knobs: asked for it, it answers 0.
  std::vector<Descriptor> descriptors(Attribute attribute, Kind kind, std::int64_t most = 0) const {
    std::int64_t count = most;
    if (most == 0)
      check(
          cudnnBackendGetAttribute(descriptor_, attribute, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &count, nullptr),
          "cudnnBackendGetAttribute", attribute);
    std::vector<Descriptor> out;
    std::vector<cudnnBackendDescriptor_t> raw;
    for (std::int64_t i = 0; i < count; ++i) raw.push_back(out.emplace_back(kind).get());
    if (count)
      check(cudnnBackendGetAttribute(descriptor_, attribute, CUDNN_TYPE_BACKEND_DESCRIPTOR, count, &count,
                                     raw.data()),
            "cudnnBackendGetAttribute", attribute);
    out.resize(std::min(out.size(), static_cast<std::size_t>(count)));
    return out;
  }

 private:
  Descriptor& set(Attribute attribute, cudnnBackendAttributeType_t type, std::size_t count,
                  const void* values) {
    check(cudnnBackendSetAttribute(descriptor_, attribute, type, static_cast<std::int64_t>(count), values),
          "cudnnBackendSetAttribute", attribute);
    return *this;
  }

  cudnnBackendDescriptor_t descriptor_ = nullptr;
};

}  // namespace kfer::cudnn
