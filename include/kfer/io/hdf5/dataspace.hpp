// The extents of a dataset or an attribute. Specification IV.A.2.b, The Dataspace Message.
#pragma once

#include <limits>
#include <optional>

#include "kfer/core/shape.hpp"
#include "kfer/io/hdf5/source.hpp"

namespace kfer::io::hdf5 {

struct Dataspace {
  bool null = false;  ///< no elements at all, not even an extent
  Shape shape;
  std::vector<std::uint64_t> limits;  ///< how far each extent can grow; `undefined`: without limit

  std::uint64_t count() const { return null ? 0 : static_cast<std::uint64_t>(shape.numel()); }
};

/// Throws FormatError if the message is damaged or its extents have no place in a Shape.
inline Dataspace read_dataspace(Cursor c) {
  const auto version = c.u8();
  c.check(version == 1 || version == 2, "version ", version, " is unknown");
  const std::size_t rank = c.u8();
  const auto flags = c.u8();
  Dataspace out;
  if (version == 1) {
    c.skip(5);
    c.check(flags <= 1, "permuted dimensions are not supported");
  } else {
    const auto type = c.u8();
    c.check(flags <= 1 && type <= 2 && (type == 1 || rank == 0), "an unknown kind of dataspace");
    out.null = type == 2;
  }
  c.check(rank <= Shape::max_rank, "rank ", rank, ", at most ", Shape::max_rank, " dimensions are supported");
  std::int64_t count = 1;
  for (std::size_t i = 0; i < rank; ++i) {
    const auto extent = c.length();
    const bool fits = extent <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) &&
                      !__builtin_mul_overflow(count, static_cast<std::int64_t>(extent), &count);
    c.check(fits, "the number of elements does not fit 64 bits");
    out.shape.push_back(static_cast<std::int64_t>(extent));
    out.limits.push_back(extent);
  }
  if (flags & 1)
    for (auto& limit : out.limits) {
      const auto extent = limit;
      limit = c.length();
      if (limit == undefined >> (64 - 8 * c.source().length_size())) limit = undefined;
      c.check(limit >= extent, "an extent of ", extent, " that may grow to ", limit, " only");
    }
  return out;
}

}  // namespace kfer::io::hdf5
