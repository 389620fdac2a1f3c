// The bytes of an HDF5 file and how structures are read from them: every read is checked, every byte belongs
// to one structure at most.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "kfer/core/error.hpp"
#include "kfer/io/bytes.hpp"
#include "kfer/io/hdf5/checksum.hpp"

namespace kfer::io::hdf5 {

/// Byte offset in the file, counted from the base address (where the superblock lies).
using Address = std::uint64_t;
/// What the format writes for "nothing there", whatever the size of its addresses.
inline constexpr Address undefined = ~Address{0};

class Cursor;

/// A file's content, and which parts of it were read as what. Since no two structures may share a byte, all
/// that is reachable is read once: cycles end, and the memory taken is bounded by the file's size.
class Source {
 public:
  Source(Bytes file, std::string_view name) : file_(file), name_(name) {}
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  Bytes file() const { return file_; }
  Address base() const { return base_; }
  std::size_t offset_size() const { return offset_size_; }
  std::size_t length_size() const { return length_size_; }
  /// From the superblock: addresses from now on count from `base`.
  void set_format(Address base, std::size_t offset_size, std::size_t length_size) {
    base_ = base;
    offset_size_ = offset_size;
    length_size_ = length_size;
  }
  /// What lies past byte `end`, where the superblock says that the file ends, is not read.
  void set_end(std::uint64_t end) { file_ = file_.first(static_cast<std::size_t>(end)); }
  Address size() const { return file_.size() - base_; }

  /// The object being read, for messages: its path.
  void set_object(std::string path) { object_ = std::move(path); }
  const std::string& object() const { return object_; }

  /// Throws FormatError naming the file, the object and the place.
  template <class... Parts>
  [[noreturn]] void fail(Address at, const Parts&... parts) const {
    throw FormatError(text("'", name_, "', object '/", object_, "', byte ", base_ + at, ": ", parts...));
  }
  template <class... Parts>
  void check(bool ok, Address at, const Parts&... parts) const {
    if (!ok) [[unlikely]]
      fail(at, parts...);
  }

  /// A cursor over everything from `at` on, for structures that tell their size themselves.
  Cursor open(Address at, std::string_view what);
  /// The bytes of a structure of known size, taken.
  Bytes take(Address at, std::uint64_t size, const char* what) {
    check(at <= this->size() && size <= this->size() - at, at, what, " of ", size,
          " bytes reaches past the end of the file, at byte ", base_ + this->size());
    claim(at, size, what);
    return file_.subspan(static_cast<std::size_t>(base_ + at), static_cast<std::size_t>(size));
  }
  /// Notes that [at, at + size), within the file, is `what`. Throws if part of it is something else already.
  void claim(Address at, std::uint64_t size, const char* what) {
    if (size == 0) return;
    const auto next = taken_.upper_bound(at);
    if (next != taken_.end() && next->first - at < size) overlap(at, what, *next);
    if (next != taken_.begin()) {
      const auto& before = *std::prev(next);
      if (at - before.first < before.second.size) overlap(at, what, before);
    }
    taken_.emplace_hint(next, at, Part{size, what});
  }

 private:
  struct Part {
    std::uint64_t size;
    const char* what;
  };
  [[noreturn]] void overlap(Address at, const char* what, const std::pair<const Address, Part>& other) const {
    fail(at, what, " lies on the ", other.second.what, " at byte ", base_ + other.first,
         ": a damaged address, a cycle, or an object of two names, which is not supported");
  }

  Bytes file_;
  std::string_view name_;
  std::string object_;
  Address base_ = 0;
  std::size_t offset_size_ = 8, length_size_ = 8;
  std::map<Address, Part> taken_;
};

/// Reads the fields of a structure in order; past its end is a FormatError.
class Cursor {
 public:
  /// `at`: the address of the first of `bytes`; `what` they are, for messages.
  Cursor(Source& source, Bytes bytes, Address at, std::string_view what)
      : source_(&source), bytes_(bytes), start_(at), what_(what) {}

  Source& source() const { return *source_; }
  Address start() const { return start_; }
  Address position() const { return start_ + at_; }
  std::size_t used() const { return at_; }
  std::size_t left() const { return bytes_.size() - at_; }

  template <class... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    source_->fail(position(), what_, ": ", parts...);
  }
  template <class... Parts>
  void check(bool ok, const Parts&... parts) const {
    if (!ok) [[unlikely]]
      fail(parts...);
  }

  Bytes bytes(std::uint64_t n) {
    check(n <= left(), n, " bytes expected, ", left(), " are left: truncated or damaged");
    const auto out = bytes_.subspan(at_, static_cast<std::size_t>(n));
    at_ += static_cast<std::size_t>(n);
    return out;
  }
  void skip(std::uint64_t n) { bytes(n); }
  /// An unsigned little-endian number of 0 to 8 bytes.
  std::uint64_t number(std::size_t n) {
    check(n <= 8, "a number of ", n, " bytes");
    std::uint64_t out = 0;
    const auto raw = bytes(n);
    for (std::size_t i = 0; i < n; ++i) out |= std::to_integer<std::uint64_t>(raw[i]) << (8 * i);
    return out;
  }
  unsigned u8() { return static_cast<unsigned>(number(1)); }
  unsigned u16() { return static_cast<unsigned>(number(2)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(number(4)); }
  std::uint64_t length() { return number(source_->length_size()); }
  /// `undefined` if all its bits are set.
  Address address() {
    const auto n = source_->offset_size();
    const auto out = number(n);
    return out == undefined >> (64 - 8 * n) ? undefined : out;
  }
  void signature(std::string_view expected) {
    const auto got = as_text(bytes(expected.size()));
    if (got != expected) {
      at_ -= expected.size();
      fail("no '", expected, "' here: damaged, or a damaged address");
    }
  }
  void version(unsigned expected) {
    const auto got = u8();
    check(got == expected, "version ", got, ", expected ", expected);
  }
  /// Up to the next zero byte, which is passed over.
  std::string_view zero_terminated() {
    const auto rest = as_text(bytes_.subspan(at_));
    const auto end = rest.find('\0');
    check(end != std::string_view::npos, "a string without end");
    at_ += end + 1;
    return rest.substr(0, end);
  }
  /// The lookup3 checksum of all before it.
  void checksum() {
    const auto expected = lookup3(bytes_.first(at_));
    const auto got = u32();
    check(got == expected, "the checksum is wrong: damaged");
  }
  /// Claims what was read: for structures that were opened without a known size.
  void claim(const char* what) const { source_->claim(start_, at_, what); }

 private:
  Source* source_;
  Bytes bytes_;
  Address start_;
  std::string_view what_;
  std::size_t at_ = 0;
};

inline Cursor Source::open(Address at, std::string_view what) {
  check(at < size(), at, what, ": the address is past the end of the file, at byte ", base_ + size());
  return {*this, file_.subspan(static_cast<std::size_t>(base_ + at)), at, what};
}

}  // namespace kfer::io::hdf5
