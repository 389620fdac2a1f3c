// The nodes of old B-trees, which lead to a group's symbols and to a dataset's chunks. Specification III.A.1.
#pragma once

#include "kfer/io/hdf5/source.hpp"

namespace kfer::io::hdf5 {

/// A node up to its first key, at which the cursor stands.
struct TreeNode {
  Cursor cursor;
  unsigned level, entries;
};

/// Opens a node of `type`. `level`: what its level must be, or, without `exact`, at most.
inline TreeNode open_tree_node(Source& source, Address at, std::string_view what, unsigned type,
                               unsigned level, bool exact) {
  auto c = source.open(at, what);
  c.signature("TREE");
  const auto own_type = c.u8(), own_level = c.u8();
  c.check(own_type == type, "a tree of type ", own_type, ", expected ", type);
  c.check(exact ? own_level == level : own_level <= level, "a node of level ", own_level);
  const auto entries = c.u16();
  c.address();  // the sibling on the left
  c.address();  // and on the right
  return {c, own_level, entries};
}

}  // namespace kfer::io::hdf5
