// tf.train.Example, the message in most TFRecord files: named lists of bytes, floats or integers
// (https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/example.proto).
//
//     const auto example = TfExample::parse(record);
//     const auto height = example.int64("height");
//     decode_image(example.bytes("image_raw"));
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "kfer/core/error.hpp"
#include "kfer/io/protobuf.hpp"

namespace kfer::io {

/// Named features. Lists of bytes are views of the parsed record (or of what `set` was given), which must
/// outlive them.
class TfExample {
 public:
  using BytesList = std::vector<Bytes>;
  using FloatList = std::vector<float>;
  using Int64List = std::vector<std::int64_t>;
  using Feature = std::variant<std::monostate, BytesList, FloatList, Int64List>;

  /// Parses a serialised message; nothing is copied but numbers. Throws FormatError. As protocol buffers
  /// demand, unknown fields are skipped, lists may come packed or not and in parts, and of two features of
  /// one name the last counts.
  static TfExample parse(Bytes message) {
    TfExample example;
    ProtoReader reader(message, what);
    while (reader.next())
      if (reader.field() == 1)
        example.parse_features(reader.bytes());
      else
        reader.skip();
    example.sort();
    return example;
  }

  /// The message's bytes, features sorted by name: equal examples give equal bytes.
  std::vector<std::byte> encode() const {
    ProtoWriter features, example;
    for (const auto& [name, feature] : features_) {
      ProtoWriter entry;
      entry.bytes(1, name);
      entry.message(2, encode_feature(feature));
      features.message(1, entry);
    }
    example.message(1, features);
    return std::move(example).take();
  }

  bool contains(std::string_view name) const { return find(name) != nullptr; }
  /// All features, sorted by name.
  const std::vector<std::pair<std::string, Feature>>& features() const { return features_; }

  // Lists. Each throws FormatError, naming the feature, if it is missing or of another kind.
  std::span<const Bytes> bytes_list(std::string_view name) const { return list<BytesList>(name, "bytes"); }
  std::span<const float> float_list(std::string_view name) const { return list<FloatList>(name, "floats"); }
  std::span<const std::int64_t> int64_list(std::string_view name) const {
    return list<Int64List>(name, "int64s");
  }

  // The only element of a list. Each throws FormatError also if there is none or are several.
  Bytes bytes(std::string_view name) const { return only(name, bytes_list(name)); }
  float float32(std::string_view name) const { return only(name, float_list(name)); }
  std::int64_t int64(std::string_view name) const { return only(name, int64_list(name)); }

  // Sets or replaces a feature. Bytes are not copied.
  void set(std::string_view name, BytesList values) { slot(name) = std::move(values); }
  void set(std::string_view name, FloatList values) { slot(name) = std::move(values); }
  void set(std::string_view name, Int64List values) { slot(name) = std::move(values); }
  void set_bytes(std::string_view name, Bytes value) { slot(name) = BytesList{value}; }
  void set_float32(std::string_view name, float value) { slot(name) = FloatList{value}; }
  void set_int64(std::string_view name, std::int64_t value) { slot(name) = Int64List{value}; }

 private:
  static constexpr std::string_view what = "tf.train.Example";

  void parse_features(Bytes message) {
    ProtoReader reader(message, what);
    while (reader.next())
      if (reader.field() == 1)
        parse_entry(reader.bytes());
      else
        reader.skip();
  }

  void parse_entry(Bytes message) {
    ProtoReader reader(message, what);
    std::string_view name;
    Feature feature;
    while (reader.next())
      if (reader.field() == 1)
        name = as_text(reader.bytes());
      else if (reader.field() == 2)
        parse_feature(reader.bytes(), feature);
      else
        reader.skip();
    features_.emplace_back(name, std::move(feature));
  }

  /// Sorts by name; of those of one name the last stays.
  void sort() {
    std::stable_sort(features_.begin(), features_.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    std::size_t kept = 0;
    for (std::size_t i = 0; i < features_.size(); ++i) {
      if (i + 1 < features_.size() && features_[i].first == features_[i + 1].first) continue;
      if (kept != i) features_[kept] = std::move(features_[i]);
      ++kept;
    }
    features_.resize(kept);
  }

  static void parse_feature(Bytes message, Feature& feature) {
    ProtoReader reader(message, what);
    while (reader.next()) switch (reader.field()) {
        case 1:
          parse_bytes(reader.bytes(), kind<BytesList>(feature));
          break;
        case 2:
          parse_floats(reader.bytes(), kind<FloatList>(feature));
          break;
        case 3:
          parse_ints(reader.bytes(), kind<Int64List>(feature));
          break;
        default:
          reader.skip();
      }
  }

  /// The feature's list, emptied if it was of another kind (a oneof: the last set wins, parts of one kind add
  /// up).
  template <class List>
  static List& kind(Feature& feature) {
    if (!std::holds_alternative<List>(feature)) feature = List();
    return std::get<List>(feature);
  }

  static void parse_bytes(Bytes message, BytesList& out) {
    ProtoReader reader(message, what);
    while (reader.next())
      if (reader.field() == 1)
        out.push_back(reader.bytes());
      else
        reader.skip();
  }

  static void parse_floats(Bytes message, FloatList& out) {
    ProtoReader reader(message, what);
    while (reader.next()) {
      if (reader.field() != 1) {
        reader.skip();
      } else if (reader.wire() == WireType::fixed32) {
        out.push_back(reader.fixed<float>());
      } else {
        const auto packed = reader.bytes();
        require<FormatError>(packed.size() % 4 == 0, what, ": packed floats of ", packed.size(), " bytes");
        const auto before = out.size();
        out.resize(before + packed.size() / 4);
        if (!packed.empty()) std::memcpy(out.data() + before, packed.data(), packed.size());
      }
    }
  }

  static void parse_ints(Bytes message, Int64List& out) {
    ProtoReader reader(message, what);
    while (reader.next()) {
      if (reader.field() != 1) {
        reader.skip();
      } else if (reader.wire() == WireType::varint) {
        out.push_back(static_cast<std::int64_t>(reader.varint()));
      } else {
        const auto packed = reader.bytes();
        out.reserve(out.size() +
                    static_cast<std::size_t>(std::count_if(packed.begin(), packed.end(), [](auto byte) {
                      return (byte & std::byte{0x80}) == std::byte{0};  // the last byte of a number
                    })));
        ProtoReader elements(packed, what);
        for (std::uint64_t value; elements.next_packed_varint(value);)
          out.push_back(static_cast<std::int64_t>(value));
      }
    }
  }

  static ProtoWriter encode_feature(const Feature& feature) {
    ProtoWriter list, out;
    if (const auto* values = std::get_if<BytesList>(&feature)) {
      for (const auto value : *values) list.bytes(1, value);
      out.message(1, list);
    } else if (const auto* values = std::get_if<FloatList>(&feature)) {
      if (!values->empty()) list.bytes(1, std::as_bytes(std::span(*values)));
      out.message(2, list);
    } else if (const auto* values = std::get_if<Int64List>(&feature)) {
      ProtoWriter packed;
      for (const auto value : *values) packed.raw_varint(static_cast<std::uint64_t>(value));
      if (!values->empty()) list.message(1, packed);
      out.message(3, list);
    }
    return out;
  }

  auto position(std::string_view name) const {
    return std::lower_bound(features_.begin(), features_.end(), name,
                            [](const auto& feature, std::string_view key) { return feature.first < key; });
  }
  const Feature* find(std::string_view name) const {
    const auto it = position(name);
    return it != features_.end() && it->first == name ? &it->second : nullptr;
  }
  Feature& slot(std::string_view name) {
    if (const auto* feature = find(name)) return const_cast<Feature&>(*feature);
    return features_.emplace(position(name), std::string(name), Feature())->second;
  }

  template <class List>
  const List& list(std::string_view name, std::string_view wanted) const {
    const auto* feature = find(name);
    if (feature == nullptr) {
      std::string present;
      for (const auto& [key, ignored] : features_) (present += present.empty() ? "" : ", ") += key;
      throw FormatError(text(what, ": no feature '", name, "'; present: ", present));
    }
    const auto* values = std::get_if<List>(feature);
    constexpr std::string_view kinds[] = {"nothing", "bytes", "floats", "int64s"};
    require<FormatError>(values != nullptr, what, ": feature '", name, "' holds ", kinds[feature->index()],
                         ", expected ", wanted);
    return *values;
  }

  template <class T>
  static T only(std::string_view name, std::span<const T> values) {
    require<FormatError>(values.size() == 1, what, ": feature '", name, "' holds ", values.size(),
                         " values, expected one");
    return values[0];
  }

  std::vector<std::pair<std::string, Feature>> features_;
};

}  // namespace kfer::io
