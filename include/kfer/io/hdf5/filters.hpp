// The filters that chunks passed through: shuffle, deflate, Fletcher-32. Specification IV.A.2.l.
#pragma once

#include <algorithm>
#include <vector>

#include "kfer/io/hdf5/object_header.hpp"
#include "kfer/io/inflate.hpp"

namespace kfer::io::hdf5 {

namespace detail {

/// What zlib wraps around a deflate stream (RFC 1950): two bytes before, the Adler-32 of the result after.
inline std::uint32_t adler32(Bytes bytes) {
  std::uint32_t a = 1, b = 0;
  while (!bytes.empty()) {
    const auto part = bytes.first(std::min<std::size_t>(bytes.size(), 5552));  // the sums cannot overflow
    for (const auto byte : part) b += a += std::to_integer<std::uint32_t>(byte);
    a %= 65521, b %= 65521;
    bytes = bytes.subspan(part.size());
  }
  return b << 16 | a;
}

}  // namespace detail

class FilterPipeline {
 public:
  FilterPipeline() = default;

  /// Throws FormatError for a filter that is not supported, naming it.
  FilterPipeline(Cursor c, std::size_t item_size) : item_size_(item_size) {
    const auto version = c.u8();
    c.check(version == 1 || version == 2, "version ", version, " is unknown");
    const auto count = c.u8();
    c.check(count <= 32, count, " filters, at most 32 are allowed");
    if (version == 1) c.skip(6);
    for (unsigned i = 0; i < count; ++i) {
      const auto id = c.u16();
      const auto name_size = version == 1 || id >= 256 ? c.u16() : 0;
      c.skip(2);  // flags: may the filter be left out? when writing
      const auto values = c.u16();
      const auto name = as_text(c.bytes(name_size));
      c.skip(4 * values);
      if (version == 1 && values % 2 == 1) c.skip(4);
      c.check(id >= deflate && id <= fletcher, "filter ", id, " ('", name.substr(0, name.find('\0')),
              "') is not supported (deflate, shuffle and fletcher32 are)");
      c.check(std::find(ids_.begin(), ids_.end(), id) == ids_.end(), "filter ", id, " twice");
      ids_.push_back(id);
    }
  }

  bool empty() const { return ids_.empty(); }

  /// The chunk of `size` bytes that `stored` became: the filters undone from the last to the first, but for
  /// those in `mask`, which this chunk did not pass.
  std::vector<std::byte> undo(const Source& source, Address at, Bytes stored, std::size_t size,
                              std::uint32_t mask) const {
    const auto applied = [&](std::size_t i) { return !(mask >> i & 1); };
    std::vector<std::byte> current;  // of all but the first step: `stored` points into it
    for (auto i = ids_.size(); i-- > 0;) {
      if (!applied(i)) continue;
      std::vector<std::byte> next;
      if (ids_[i] == fletcher) {
        source.check(stored.size() >= 4, at, "chunk: ", stored.size(), " bytes hold no checksum");
        const auto data = stored.first(stored.size() - 4);
        source.check(fletcher32(data) == load_le<std::uint32_t>(stored.data() + data.size()), at,
                     "chunk: the checksum is wrong: damaged");
        next.assign(data.begin(), data.end());
      } else if (ids_[i] == deflate) {
        auto inflated = size;  // of what went into deflate, filters before it may have added a checksum
        for (std::size_t k = 0; k < i; ++k) inflated += ids_[k] == fletcher && applied(k) ? 4 : 0;
        next = inflate_zlib(source, at, stored, inflated);
      } else {
        next = unshuffle(stored);
      }
      current = std::move(next);
      stored = current;
    }
    source.check(stored.size() == size, at, "chunk: ", stored.size(), " bytes, expected ", size);
    if (current.empty()) current.assign(stored.begin(), stored.end());
    return current;
  }

 private:
  static constexpr unsigned deflate = 1, shuffle = 2, fletcher = 3;

  static std::vector<std::byte> inflate_zlib(const Source& source, Address at, Bytes stored,
                                             std::size_t size) {
    const auto byte = [&](std::size_t i) { return std::to_integer<std::uint32_t>(stored[i]); };
    source.check(
        stored.size() >= 6 && (byte(0) & 15) == 8 && !(byte(1) & 0x20) && (byte(0) << 8 | byte(1)) % 31 == 0,
        at, "chunk: no zlib stream");
    // No deflate stream expands more than 1032 times: what claims to is not given memory.
    source.check(size / 1032 <= stored.size(), at, "chunk: ", stored.size(), " bytes cannot hold ", size);
    std::vector<std::byte> out(size);
    try {
      inflate(stored.subspan(2, stored.size() - 6), out);
    } catch (const FormatError& error) {
      source.fail(at, "chunk: ", error.what());
    }
    std::uint32_t expected = 0;
    for (std::size_t i = stored.size() - 4; i < stored.size(); ++i) expected = expected << 8 | byte(i);
    source.check(detail::adler32(out) == expected, at,
                 "chunk: the Adler-32 of the deflated data is wrong: damaged");
    return out;
  }

  /// The first bytes of all elements, then their second bytes, ...: back to elements.
  std::vector<std::byte> unshuffle(Bytes in) const {
    std::vector<std::byte> out(in.begin(), in.end());
    const auto count = in.size() / item_size_;
    for (std::size_t k = 0; k < item_size_; ++k)
      for (std::size_t i = 0; i < count; ++i) out[i * item_size_ + k] = in[k * count + i];
    return out;
  }

  std::size_t item_size_ = 1;
  std::vector<unsigned> ids_;
};

}  // namespace kfer::io::hdf5
