// Object headers: the list of messages that says what an object is. Specification IV.A.1.
#pragma once

#include <vector>

#include "kfer/io/hdf5/source.hpp"

namespace kfer::io::hdf5 {

enum class MessageType : unsigned {
  nil = 0x00,
  dataspace = 0x01,
  link_info = 0x02,
  datatype = 0x03,
  link = 0x06,
  external_files = 0x07,
  layout = 0x08,
  bogus = 0x09,
  filters = 0x0b,
  attribute = 0x0c,
  continuation = 0x10,
  symbol_table = 0x11,
  attribute_info = 0x15,
  last_known = 0x18
};

/// One message of an object's header; the body belongs to the file.
struct Message {
  MessageType type;
  unsigned flags;
  Address at;
  Bytes body;

  bool shared() const { return flags & 2; }
  Cursor cursor(Source& source, std::string_view what) const { return {source, body, at, what}; }
};

/// The messages of the header of versions 1 and 2 at an address, all its continuation blocks included.
class ObjectHeader {
 public:
  ObjectHeader(Source& source, Address at) : source_(source), at_(at) {
    auto c = source.open(at, "object header");
    if (c.left() >= 4 &&
        as_text(source.file().subspan(static_cast<std::size_t>(source.base() + at), 4)) == "OHDR")
      read_version_2(c);
    else
      read_version_1(c);
  }

  Address at() const { return at_; }
  const std::vector<Message>& messages() const { return messages_; }
  bool has(MessageType type) const { return find(type) != nullptr; }
  /// The only message of its type, or null. Throws if there are two.
  const Message* find(MessageType type) const {
    const Message* out = nullptr;
    for (const auto& message : messages_) {
      if (message.type != type) continue;
      source_.check(out == nullptr, message.at, "object header: a second message of type ",
                    static_cast<unsigned>(type));
      out = &message;
    }
    return out;
  }
  const Message& at(MessageType type, const char* what) const {
    const auto* message = find(type);
    source_.check(message != nullptr, at_, "object header: no ", what, " message");
    return *message;
  }

 private:
  struct Block {
    Address at;
    std::uint64_t size;
  };

  void read_version_1(Cursor& c) {
    c.version(1);
    c.skip(1);
    const auto count = c.u16();
    c.skip(4);  // number of links to the object
    const auto size = c.u32();
    c.skip(4);
    Cursor first(source_, c.bytes(size), c.position() - size, "object header");
    c.claim("object header");
    std::vector<Block> continuations;
    read_messages(first, 1, false, continuations);
    for (std::size_t i = 0; i < continuations.size(); ++i) {
      const auto [at, bytes] = continuations[i];
      Cursor block(source_, source_.take(at, bytes, "object header's continuation"), at,
                   "object header's continuation");
      read_messages(block, 1, false, continuations);
    }
    // An early libhdf5 miscounted (later ones overlook it): such files are refused rather than cut short.
    source_.check(messages_read_ == count, at_, "object header: ", messages_read_, " messages, expected ",
                  count);
  }

  void read_version_2(Cursor& c) {
    c.signature("OHDR");
    c.version(2);
    const auto flags = c.u8();
    c.check(flags < 0x40, "unknown flags ", flags);
    if (flags & 0x20) c.skip(16);  // times of access, modification, change, birth
    if (flags & 0x10) c.skip(4);   // when attributes become dense
    const auto size = c.number(std::size_t{1} << (flags & 3));
    const auto body = c.bytes(size);
    const auto body_at = c.position() - size;
    c.checksum();
    c.claim("object header");
    Cursor first(source_, body, body_at, "object header");
    std::vector<Block> continuations;
    read_messages(first, 2, flags & 4, continuations);
    for (std::size_t i = 0; i < continuations.size(); ++i) {
      const auto [at, bytes] = continuations[i];
      Cursor block(source_, source_.take(at, bytes, "object header's continuation"), at,
                   "object header's continuation");
      block.signature("OCHK");
      block.check(bytes >= 8, "a block of ", bytes, " bytes");
      const auto content = block.bytes(bytes - 8);
      block.checksum();
      Cursor inner(source_, content, at + 4, "object header's continuation");
      read_messages(inner, 2, flags & 4, continuations);
    }
  }

  void read_messages(Cursor& c, int version, bool ordered, std::vector<Block>& continuations) {
    const std::size_t prefix = version == 1 ? 8 : ordered ? 6 : 4;
    while (c.left() >= prefix) {
      const auto type = version == 1 ? c.u16() : c.u8();
      const auto size = c.u16();
      const auto flags = c.u8();
      c.skip(prefix - (version == 1 ? 5 : 4));
      c.check(type <= static_cast<unsigned>(MessageType::last_known) &&
                  type != static_cast<unsigned>(MessageType::bogus),
              "a message of unknown type ", type);
      Message message{static_cast<MessageType>(type), flags, c.position(), c.bytes(size)};
      ++messages_read_;
      if (message.type == MessageType::continuation) {
        auto body = message.cursor(source_, "continuation message");
        const auto at = body.address();
        continuations.push_back({at, body.length()});
      } else if (message.type != MessageType::nil) {
        messages_.push_back(message);
      }
    }
    c.check(version == 2 || c.left() == 0, c.left(), " bytes behind the last message");
  }

  Source& source_;
  Address at_;
  std::vector<Message> messages_;
  std::size_t messages_read_ = 0;
};

}  // namespace kfer::io::hdf5
