// The links of a group, which name its members, in all three forms that groups have. Specification III.B,
// IV.A.2.c, IV.A.2.g and IV.A.2.r.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "kfer/io/hdf5/btree_v1.hpp"
#include "kfer/io/hdf5/fractal_heap.hpp"
#include "kfer/io/hdf5/heaps.hpp"
#include "kfer/io/hdf5/object_header.hpp"

namespace kfer::io::hdf5 {

struct Link {
  static constexpr std::size_t max_name_bytes = 1024;

  std::string name;
  Address object = undefined;  ///< of the member's header; `undefined` for a soft or an external link
  std::string kind = {};       ///< in words, if it is not a hard link
};

namespace detail {

inline std::string link_name(const Cursor& c, std::string_view name) {
  c.check(!name.empty() && name.size() <= Link::max_name_bytes, "a name of ", name.size(), " bytes (1 to ",
          Link::max_name_bytes, " are allowed)");
  c.check(
      name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos && name != ".",
      "a name that no link can have");
  return std::string(name);
}

/// Old groups: a B-tree whose leaves are tables of symbols, with names in a local heap.
class SymbolTable {
 public:
  SymbolTable(Source& source, const Message& message) : source_(source), heap_(open_heap(source, message)) {
    auto c = message.cursor(source, "symbol table message");
    read_tree(c.address(), 16, false);
  }

  std::vector<Link> links;

 private:
  static LocalHeap open_heap(Source& source, const Message& message) {
    auto c = message.cursor(source, "symbol table message");
    c.address();
    return {source, c.address()};
  }

  /// `level`: what the node's level must be, or, without `exact`, at most.
  void read_tree(Address at, unsigned level, bool exact) {
    auto [c, own_level, entries] = open_tree_node(source_, at, "group's B-tree", 0, level, exact);
    std::vector<std::uint64_t> keys{c.length()};
    std::vector<Address> children;
    for (unsigned i = 0; i < entries; ++i) {
      children.push_back(c.address());
      keys.push_back(c.length());
    }
    c.claim("group's B-tree");
    for (unsigned i = 0; i < entries; ++i) {
      const auto first = links.size();
      if (own_level > 0)
        read_tree(children[i], own_level - 1, true);
      else
        read_symbols(children[i]);
      // A key is a name: those of the child behind it are greater, and not greater than the next key.
      const auto low = heap_.string(keys[i]), high = heap_.string(keys[i + 1]);
      for (auto j = first; j < links.size(); ++j)
        source_.check(low < links[j].name && links[j].name <= high, children[i], "group's B-tree: '",
                      links[j].name, "' is not between the keys '", low, "' and '", high, "'");
    }
  }

  void read_symbols(Address at) {
    auto c = source_.open(at, "symbol table");
    c.signature("SNOD");
    c.version(1);
    c.skip(1);
    const auto count = c.u16();
    c.check(count > 0, "a table of no symbols");
    for (unsigned i = 0; i < count; ++i) {
      Link link{.name = link_name(c, heap_.string(c.number(source_.offset_size())))};
      const auto object = c.address();
      const auto cache = c.u32();
      c.skip(4);
      Cursor scratch(source_, c.bytes(16), c.position() - 16, "symbol table");
      c.check(cache <= 2, "cached data of unknown type ", cache);
      if (cache == 2)
        link.kind = text("a soft link to '", heap_.string(scratch.u32()), "'");
      else
        link.object = object;
      c.check(cache == 2 || object != undefined, "'", link.name, "' has no object");
      links.push_back(std::move(link));
    }
    c.claim("symbol table");
  }

  Source& source_;
  LocalHeap heap_;
};

inline Link read_link(Cursor c) {
  c.version(1);
  const auto flags = c.u8();
  c.check(flags < 0x20, "unknown flags ", flags);
  const auto type = flags & 8 ? c.u8() : 0;
  if (flags & 4) c.skip(8);   // creation order
  if (flags & 16) c.skip(1);  // character set
  const auto size = c.number(std::size_t{1} << (flags & 3));
  c.check(size <= Link::max_name_bytes, "a name of ", size, " bytes");
  Link link{.name = link_name(c, as_text(c.bytes(size)))};
  switch (type) {
    case 0:
      link.object = c.address();
      c.check(link.object != undefined, "'", link.name, "' has no object");
      break;
    case 1: {
      const auto target = c.u16();
      link.kind = text("a soft link to '", as_text(c.bytes(target)), "'");
      break;
    }
    default:
      c.check(type == 64, "a link of unknown type ", type);
      link.kind = "an external link";
  }
  return link;
}

}  // namespace detail

inline bool is_group(const ObjectHeader& header) {
  return header.has(MessageType::symbol_table) || header.has(MessageType::link_info);
}

/// The members of a group, sorted by name.
inline std::vector<Link> read_links(Source& source, const ObjectHeader& header) {
  std::vector<Link> links;
  if (const auto* table = header.find(MessageType::symbol_table)) {
    links = detail::SymbolTable(source, *table).links;
  } else {
    for (const auto& message : header.messages())
      if (message.type == MessageType::link)
        links.push_back(detail::read_link(message.cursor(source, "link message")));
    const auto info = header.at(MessageType::link_info, "link info").cursor(source, "link info message");
    for_each_by_name(source, info, 8, 5, [&](FractalHeap& heap, Cursor record) {
      record.u32();  // the name's hash
      links.push_back(detail::read_link(heap.object(record, "link")));
    });
  }
  std::sort(links.begin(), links.end(), [](const Link& a, const Link& b) { return a.name < b.name; });
  for (std::size_t i = 1; i < links.size(); ++i)
    source.check(links[i - 1].name != links[i].name, header.at(), "two links '", links[i].name, "'");
  return links;
}

}  // namespace kfer::io::hdf5
