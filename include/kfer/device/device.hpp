// What a device must offer. Devices are tag types: code for one is chosen by overload and specialisation,
// never by a macro inside a function, so a program may link files of several compilers.
#pragma once

#include <concepts>
#include <cstddef>
#include <memory>
#include <string_view>

#include "kfer/fwd.hpp"

namespace kfer {

/// Memory and copies of a device. Everything else (kernels, libraries) enters through specialisations of the
/// ops.
template <class D>
concept Device = requires(void* to, const void* from, std::size_t bytes) {
  { D::name } -> std::convertible_to<std::string_view>;
  { D::allocate(bytes) } -> std::same_as<void*>;  ///< throws OutOfMemoryError
  { D::deallocate(to, bytes) }
  noexcept;
  {D::copy_from_host(to, from, bytes)};
  {D::copy_to_host(to, from, bytes)};
  {D::copy(to, from, bytes)};
  {D::set_zero(to, bytes)};
};

/// A block of device memory, freed with its last owner.
template <class D>
class Buffer {
 public:
  explicit Buffer(std::size_t bytes) : data_(D::allocate(bytes)), bytes_(bytes) {}
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { D::deallocate(data_, bytes_); }

  void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

 private:
  void* data_;
  std::size_t bytes_;
};

}  // namespace kfer
