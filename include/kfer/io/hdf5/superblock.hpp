// The superblock: where an HDF5 file begins. Specification II.A.
#pragma once

#include "kfer/io/hdf5/source.hpp"

namespace kfer::io::hdf5 {

inline constexpr std::string_view signature = "\x89HDF\r\n\x1a\n";

/// Reads the superblock, versions 0 to 3, at byte 0 or behind a user block of 512, 1024, ... bytes, sets the
/// source's format and returns the address of the root group's object header.
inline Address read_superblock(Source& source) {
  const auto file = source.file();
  std::size_t at = 0;
  const auto found = [&] { return as_text(file.subspan(at)).starts_with(signature); };
  while (at < file.size() && !found()) at = at == 0 ? 512 : 2 * at;
  source.check(at < file.size(), 0, "not an HDF5 file: no signature");

  Cursor c(source, file.subspan(at), at, "superblock");
  c.skip(signature.size());
  const auto version = c.u8();
  c.check(version <= 3, "version ", version, " is not supported (0 to 3 are)");
  if (version < 2) {
    const auto free_space = c.u8(), root_entry = c.u8(), reserved = c.u8(), shared = c.u8();
    c.check(free_space == 0 && root_entry == 0 && reserved == 0 && shared == 0, "unknown parts' versions");
  }
  const auto offset_size = c.u8(), length_size = c.u8();
  const auto known = [](unsigned n) { return n == 2 || n == 4 || n == 8; };
  c.check(known(offset_size) && known(length_size), "addresses of ", offset_size, " and lengths of ",
          length_size, " bytes (2, 4 or 8 are allowed)");
  source.set_format(0, offset_size, length_size);
  c.skip(version < 2 ? 9 : 1);  // reserved, the B-trees' widths, consistency flags
  if (version == 1) c.skip(4);  // the chunk index's width, reserved
  const auto base = c.address();
  // libhdf5 takes the place where it finds the superblock for the base; so must we, or refuse.
  c.check(base == at, "the base address is ", base, ", but the superblock lies at byte ", at);
  c.address();                   // free space, or the superblock's extension
  const auto end = c.address();  // this one counts from the file's first byte
  c.check(end <= file.size() && end > at + c.used(), "the file ends at byte ", end,
          " by the superblock, but holds ", file.size(), " bytes: truncated or damaged");
  if (version < 2) {
    c.address();  // driver information
    c.address();  // the root's name
  }
  const auto root = c.address();
  if (version < 2) {
    const auto cache = c.u32();
    c.check(cache <= 1, "the root is no group");
    c.skip(4 + 16);
  } else {
    c.checksum();
  }
  source.set_format(at, offset_size, length_size);
  source.set_end(end);
  source.claim(0, c.used(), "superblock");
  return root;
}

}  // namespace kfer::io::hdf5
