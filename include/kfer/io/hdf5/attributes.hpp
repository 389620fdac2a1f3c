// Attributes that hold strings. Specification IV.A.2.m and IV.A.2.v.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "kfer/io/hdf5/dataspace.hpp"
#include "kfer/io/hdf5/datatype.hpp"
#include "kfer/io/hdf5/fractal_heap.hpp"
#include "kfer/io/hdf5/heaps.hpp"
#include "kfer/io/hdf5/object_header.hpp"

namespace kfer::io::hdf5 {

struct Attribute {
  std::vector<std::string> strings;
  std::string other;  ///< what it holds, if it does not hold strings
};
/// By name.
using Attributes = std::map<std::string, Attribute>;

class AttributeReader {
 public:
  explicit AttributeReader(Source& source) : source_(source), strings_(source) {}

  /// All attributes of an object. Throws FormatError for a damaged one; one that is not of strings is noted.
  Attributes read(const ObjectHeader& header) {
    Attributes out;
    for (const auto& message : header.messages())
      if (message.type == MessageType::attribute) {
        source_.check(!message.shared(), message.at, "shared attributes are not supported");
        read(message.cursor(source_, "attribute message"), out);
      }
    if (const auto* message = header.find(MessageType::attribute_info))
      for_each_by_name(
          source_, message->cursor(source_, "attribute info message"), 2, 8,
          [&](FractalHeap& heap, Cursor record) { read(heap.object(record, "attribute"), out); });
    return out;
  }

 private:
  void read(Cursor c, Attributes& out) {
    const auto version = c.u8();
    c.check(version >= 1 && version <= 3, "version ", version, " is unknown");
    const auto flags = c.u8();
    const auto name_size = c.u16(), type_size = c.u16(), space_size = c.u16();
    if (version == 3) c.skip(1);  // character set of the name
    const auto part = [&](std::size_t size, std::string_view what) {
      const auto at = c.position();
      Cursor part(source_, c.bytes(size), at, what);
      if (version == 1) c.skip((8 - size % 8) % 8);
      return part;
    };
    const std::string name(part(name_size, "attribute's name").zero_terminated());
    auto type_part = part(type_size, "attribute's datatype");
    auto space_part = part(space_size, "attribute's dataspace");
    Attribute attribute;
    if (version > 1 && flags & 3) {
      c.check((flags & ~3u) == 0, "unknown flags ", flags);
      attribute.other = "a type or an extent that is shared";
    } else {
      const auto type = read_datatype(type_part);
      const auto space = read_dataspace(space_part);
      std::uint64_t size = 0;
      c.check(!__builtin_mul_overflow(space.count(), type.size, &size) && size <= c.left(), "'", name,
              "': ", space.count(), " elements of ", type.size, " bytes expected, ", c.left(),
              " bytes are left");
      if (type.kind == Datatype::Kind::fixed_string || type.kind == Datatype::Kind::variable_string)
        for (std::uint64_t i = 0; i < space.count(); ++i) attribute.strings.push_back(string(c, type));
      else if (space.count() >
               0)  // an empty array, which h5py makes one of floats, is also one of no strings
        attribute.other = type.name;
    }
    c.check(out.emplace(name, std::move(attribute)).second, "a second attribute '", name, "'");
  }

  std::string string(Cursor& c, const Datatype& type) {
    std::string_view out;
    if (type.kind == Datatype::Kind::fixed_string) {
      out = as_text(c.bytes(type.size));
    } else {
      const auto size = c.u32();
      const auto at = c.address();
      const auto index = c.u32();
      if (size > 0) {
        const auto object = strings_.object(at, index);
        c.check(size <= object.size(), "a string of ", size, " bytes in an object of ", object.size());
        out = as_text(object.first(size));
      }
    }
    if (type.space_padded) {
      out = out.substr(0, out.find_last_not_of(' ') + 1);
    } else {
      out = out.substr(0, out.find('\0'));
    }
    // Many elements may name one string: together they take no more than the file.
    total_ += out.size();
    c.check(total_ <= source_.file().size(), "the strings of all attributes take more bytes than the file");
    return std::string(out);
  }

  Source& source_;
  GlobalHeap strings_;
  std::uint64_t total_ = 0;
};

}  // namespace kfer::io::hdf5
