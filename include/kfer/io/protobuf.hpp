// The protocol buffer wire format (https://protobuf.dev/programming-guides/encoding), as much as
// tf.train.Example, TensorBoard events and ONNX models need: reading field by field with every length
// checked, and writing.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "kfer/core/error.hpp"
#include "kfer/io/bytes.hpp"

namespace kfer::io {

enum class WireType : std::uint8_t {
  varint = 0,
  fixed64 = 1,
  bytes = 2,
  group = 3,
  group_end = 4,
  fixed32 = 5
};

/// Walks the fields of one message:
///     while (reader.next())
///       if (reader.field() == 1) use(reader.bytes());
///       else reader.skip();
/// Each field must be consumed once. FormatErrors name the message.
class ProtoReader {
 public:
  /// `message` is what errors call it; it must outlive the reader, as `content` must.
  ProtoReader(Bytes content, std::string_view message) : rest_(content), message_(message) {}

  /// Advances to the next field; false at the end of the message.
  bool next() {
    if (rest_.empty()) return false;
    const auto tag = raw_varint();
    check((tag >> 3) >= 1 && (tag >> 3) < (1u << 29), "a field number out of range");
    field_ = static_cast<std::uint32_t>(tag >> 3);
    check((tag & 7) <= 5, "an unknown wire type");
    wire_ = static_cast<WireType>(tag & 7);
    return true;
  }
  std::uint32_t field() const { return field_; }
  WireType wire() const { return wire_; }

  std::uint64_t varint() { return expect(WireType::varint), raw_varint(); }
  Bytes bytes() { return expect(WireType::bytes), raw_bytes(); }
  template <class T>
  requires(sizeof(T) == 4) T fixed() { return expect(WireType::fixed32), load_le<T>(take(4).data()); }
  template <class T>
  requires(sizeof(T) == 8) T fixed() { return expect(WireType::fixed64), load_le<T>(take(8).data()); }

  /// Passes over the field.
  void skip() { skip_value(wire_, field_, 0); }

  /// Reads one varint without a tag (the elements of a packed field); false at the end.
  bool next_packed_varint(std::uint64_t& value) {
    if (rest_.empty()) return false;
    value = raw_varint();
    return true;
  }

 private:
  void check(bool ok, std::string_view problem) const {
    if (!ok) [[unlikely]]
      throw FormatError(text(message_, ": ", problem));
  }
  void expect(WireType wanted) const {
    if (wire_ != wanted) [[unlikely]]
      throw FormatError(text(message_, ": field ", field_, " has wire type ", static_cast<int>(wire_),
                             ", expected ", static_cast<int>(wanted)));
  }

  Bytes take(std::uint64_t n) {
    check(n <= rest_.size(), "truncated");
    const auto out = rest_.first(static_cast<std::size_t>(n));
    rest_ = rest_.subspan(out.size());
    return out;
  }
  Bytes raw_bytes() { return take(raw_varint()); }
  std::uint64_t raw_varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto byte = std::to_integer<std::uint64_t>(take(1)[0]);
      check(shift < 63 || byte <= 1, "a number of more than 64 bits");
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw FormatError(text(message_, ": a number of more than 64 bits"));
  }
  void skip_value(WireType wire, std::uint32_t field, int depth) {
    check(depth < 32, "groups nested too deeply");
    switch (wire) {
      case WireType::varint:
        raw_varint();
        return;
      case WireType::fixed64:
        take(8);
        return;
      case WireType::bytes:
        raw_bytes();
        return;
      case WireType::fixed32:
        take(4);
        return;
      case WireType::group_end:
        check(false, "the end of a group that did not begin");
        return;
      case WireType::group:
        break;
    }
    for (;;) {
      check(next(), "a group without end");
      if (wire_ == WireType::group_end) return check(field_ == field, "the end of another group");
      skip_value(wire_, field_, depth + 1);
    }
  }

  Bytes rest_;
  std::string_view message_;
  std::uint32_t field_ = 0;
  WireType wire_ = WireType::varint;
};

/// Builds one message; a nested message is built by a writer of its own and added as bytes.
class ProtoWriter {
 public:
  void varint(std::uint32_t field, std::uint64_t value) { tag(field, WireType::varint), raw_varint(value); }
  /// The tag and length of a bytes field (a nested message too) whose content the caller writes behind it.
  void begin_bytes(std::uint32_t field, std::uint64_t size) { tag(field, WireType::bytes), raw_varint(size); }
  void bytes(std::uint32_t field, Bytes value) { begin_bytes(field, value.size()), io::append(out_, value); }
  void bytes(std::uint32_t field, std::string_view value) { bytes(field, as_bytes(value)); }
  /// The fields of another writer, behind those written so far.
  void append(const ProtoWriter& fields) { io::append(out_, fields.out_); }
  void message(std::uint32_t field, const ProtoWriter& value) { bytes(field, value.out_); }
  void fixed(std::uint32_t field, float value) { tag(field, WireType::fixed32), append_le(out_, value); }
  void fixed(std::uint32_t field, double value) { tag(field, WireType::fixed64), append_le(out_, value); }

  /// Elements of a packed field, without tags.
  void raw_varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) out_.push_back(static_cast<std::byte>(value | 0x80));
    out_.push_back(static_cast<std::byte>(value));
  }

  Bytes view() const { return out_; }
  std::vector<std::byte> take() && { return std::move(out_); }

 private:
  void tag(std::uint32_t field, WireType wire) {
    raw_varint(static_cast<std::uint64_t>(field) << 3 | static_cast<std::uint64_t>(wire));
  }

  std::vector<std::byte> out_;
};

}  // namespace kfer::io
