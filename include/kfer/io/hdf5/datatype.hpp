// What the elements of a dataset or an attribute are. Specification IV.A.2.d, The Datatype Message.
#pragma once

#include "kfer/io/hdf5/source.hpp"

namespace kfer::io::hdf5 {

struct Datatype {
  enum class Kind { number, fixed_string, variable_string, other };

  Kind kind = Kind::other;
  std::size_t size = 0;       ///< bytes of an element in the file
  std::string name;           ///< of a number: as in safetensors, "F32"; else in words, for messages
  bool big_endian = false;    ///< of a number
  bool space_padded = false;  ///< of a fixed string: padded with spaces, as Fortran does, not with zeros
};

namespace detail {

inline Datatype read_integer(Cursor& c, std::uint32_t bits, std::size_t size) {
  const auto bit_offset = c.u16(), precision = c.u16();
  const bool is_signed = bits & 8;
  c.check((bits & ~0xfu) == 0, "unknown flags of an integer");
  const bool whole = bit_offset == 0 && precision == 8 * size;
  if (!whole || (size != 1 && size != 2 && size != 4 && size != 8))
    return {.size = size, .name = text("integers of ", precision, " bits in ", size, " bytes")};
  return {.kind = Datatype::Kind::number,
          .size = size,
          .name = text(is_signed ? 'I' : 'U', 8 * size),
          .big_endian = (bits & 1) != 0};
}

inline Datatype read_float(Cursor& c, std::uint32_t bits, std::size_t size) {
  struct Format {
    std::size_t size;
    unsigned exponent_at, exponent_bits, bias;
    const char* name;
    bool operator==(const Format&) const = default;
  };
  const unsigned bit_offset = c.u16(), precision = c.u16(), exponent_at = c.u8(), exponent_bits = c.u8(),
                 mantissa_at = c.u8(), mantissa_bits = c.u8();
  const auto bias = c.u32();
  const unsigned sign_at = bits >> 8 & 0xff;
  c.check((bits & ~0xff7fu) == 0, "unknown flags of a floating-point type");
  const bool implied_one = (bits >> 4 & 3) == 2, vax = bits & 0x40;
  constexpr Format formats[] = {
      {2, 10, 5, 15, "F16"}, {2, 7, 8, 127, "BF16"}, {4, 23, 8, 127, "F32"}, {8, 52, 11, 1023, "F64"}};
  for (const auto& f : formats)
    if (f.size == size && bit_offset == 0 && precision == 8 * size && sign_at == precision - 1 &&
        f.exponent_at == exponent_at && f.exponent_bits == exponent_bits && mantissa_at == 0 &&
        mantissa_bits == exponent_at && f.bias == bias && implied_one && !vax)
      return {.kind = Datatype::Kind::number, .size = size, .name = f.name, .big_endian = (bits & 1) != 0};
  return {.size = size, .name = text("floating-point numbers of ", size, " bytes that are not IEEE's")};
}

}  // namespace detail

/// The type that a datatype message describes. Throws FormatError if it is damaged; what is merely not
/// supported has the kind `other`.
inline Datatype read_datatype(Cursor c) {
  const auto class_and_version = c.u8();
  const auto version = class_and_version >> 4;
  c.check(version >= 1 && version <= 5, "version ", version, " is unknown");
  const auto bits = static_cast<std::uint32_t>(c.number(3));
  const std::size_t size = c.u32();
  c.check(size > 0, "elements of no bytes");
  constexpr const char* names[] = {"integers",     "floating-point numbers",
                                   "times",        "strings",
                                   "bit fields",   "opaque values",
                                   "records",      "references",
                                   "enumerators",  "sequences",
                                   "fixed arrays", "complex numbers"};
  switch (const auto type = class_and_version & 15) {
    case 0:
      return detail::read_integer(c, bits, size);
    case 1:
      return detail::read_float(c, bits, size);
    case 3:
      c.check((bits & 15) <= 2 && bits >> 4 <= 1, "unknown kind of string");
      return {.kind = Datatype::Kind::fixed_string,
              .size = size,
              .name = names[3],
              .space_padded = (bits & 15) == 2};
    case 9:
      if ((bits & 15) != 1) return {.size = size, .name = names[9]};
      c.check(size == 8 + c.source().offset_size(), "a string of variable length takes ", size, " bytes");
      return {.kind = Datatype::Kind::variable_string, .size = size, .name = names[3]};
    default:
      c.check(type < std::size(names), "class ", type, " is unknown");
      return {.size = size, .name = names[type]};
  }
}

}  // namespace kfer::io::hdf5
