// JSON (RFC 8259): a small value type, a strict parser with bounds, and a writer whose output the parser
// reads back.
#pragma once

#include <charconv>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include "kfer/core/error.hpp"

namespace kfer::io {

/// A JSON value. Integers that fit 64 bits stay exact; members of an object keep their order.
class Json {
 public:
  using Array = std::vector<Json>;
  using Object = std::vector<std::pair<std::string, Json>>;

  Json() = default;  ///< null
  Json(std::nullptr_t) {}
  Json(bool value) : value_(value) {}
  template <std::integral T>
  requires(!std::same_as<T, bool>) Json(T value) : value_(static_cast<std::int64_t>(value)) {
    require<ValueError>(std::in_range<std::int64_t>(value), "JSON: ", value, " does not fit 64 signed bits");
  }
  template <std::floating_point T>
  Json(T value) : value_(static_cast<double>(value)) {}
  Json(std::string value) : value_(std::move(value)) {}
  Json(std::string_view value) : value_(std::string(value)) {}
  Json(const char* value) : value_(std::string(value)) {}
  Json(Array value) : value_(std::move(value)) {}
  Json(Object value) : value_(std::move(value)) {}

  static Json array() { return Json(Array{}); }
  static Json object() { return Json(Object{}); }

  bool is_null() const { return is<std::nullptr_t>(); }
  bool is_bool() const { return is<bool>(); }
  bool is_int() const { return is<std::int64_t>(); }
  bool is_number() const { return is_int() || is<double>(); }
  bool is_string() const { return is<std::string>(); }
  bool is_array() const { return is<Array>(); }
  bool is_object() const { return is<Object>(); }

  // Each throws FormatError if the value is of another kind.
  bool as_bool() const { return get<bool>("a boolean"); }
  std::int64_t as_int() const { return get<std::int64_t>("an integer"); }
  double as_double() const {
    return is_int() ? static_cast<double>(std::get<std::int64_t>(value_)) : get<double>("a number");
  }
  const std::string& as_string() const { return get<std::string>("a string"); }
  const Array& as_array() const { return get<Array>("an array"); }
  const Object& as_object() const { return get<Object>("an object"); }

  /// The member called `key`, or null if this is no object or has none.
  const Json* find(std::string_view key) const {
    if (const auto* members = std::get_if<Object>(&value_))
      for (const auto& [name, value] : *members)
        if (name == key) return &value;
    return nullptr;
  }
  /// The member called `key`. Throws FormatError if there is none.
  const Json& at(std::string_view key) const {
    const auto* value = find(key);
    require<FormatError>(value != nullptr, "JSON: no member '", key, "' in ", kind());
    return *value;
  }
  /// The member called `key`, made if there is none; null becomes an object.
  Json& operator[](std::string_view key) {
    if (is_null()) value_ = Object{};
    static_cast<void>(as_object());
    auto& members = std::get<Object>(value_);
    for (auto& [name, value] : members)
      if (name == key) return value;
    return members.emplace_back(std::string(key), Json()).second;
  }
  /// Appends to an array; null becomes one.
  void push_back(Json value) {
    if (is_null()) value_ = Array{};
    static_cast<void>(as_array());
    std::get<Array>(value_).push_back(std::move(value));
  }

  friend bool operator==(const Json& a, const Json& b);

 private:
  template <class T>
  bool is() const {
    return std::holds_alternative<T>(value_);
  }
  template <class T>
  const T& get(std::string_view wanted) const {
    const T* value = std::get_if<T>(&value_);
    require<FormatError>(value != nullptr, "JSON: expected ", wanted, ", got ", kind());
    return *value;
  }
  std::string_view kind() const {
    constexpr std::string_view kinds[] = {"null",     "a boolean", "an integer", "a number",
                                          "a string", "an array",  "an object"};
    return kinds[value_.index()];
  }

  std::variant<std::nullptr_t, bool, std::int64_t, double, std::string, Array, Object> value_ = nullptr;
};

inline bool operator==(const Json& a, const Json& b) {
  return a.value_ == b.value_;
}

namespace detail {

/// Bytes of the UTF-8 sequence at the start of `s`, or 0 if it is not valid (overlong, surrogate, past
/// U+10FFFF, cut).
inline std::size_t utf8_sequence(std::string_view s) {
  const auto byte = [&](std::size_t i) -> unsigned {
    return i < s.size() ? static_cast<unsigned char>(s[i]) : 0u;
  };
  const auto tail = [&](std::size_t i) { return (byte(i) & 0xc0) == 0x80; };
  const unsigned b = byte(0), c = byte(1);
  if (s.empty()) return 0;
  if (b < 0x80) return 1;
  if (b >= 0xc2 && b <= 0xdf) return tail(1) ? 2 : 0;
  if (b >= 0xe0 && b <= 0xef) {
    const bool fits = tail(1) && !(b == 0xe0 && c < 0xa0) && !(b == 0xed && c > 0x9f);
    return fits && tail(2) ? 3 : 0;
  }
  if (b >= 0xf0 && b <= 0xf4) {
    const bool fits = tail(1) && !(b == 0xf0 && c < 0x90) && !(b == 0xf4 && c > 0x8f);
    return fits && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

inline void append_utf8(std::string& out, std::uint32_t code) {
  const auto put = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) return put(code);
  if (code < 0x800) return put(0xc0 | code >> 6), put(0x80 | (code & 63));
  if (code < 0x10000) return put(0xe0 | code >> 12), put(0x80 | (code >> 6 & 63)), put(0x80 | (code & 63));
  put(0xf0 | code >> 18), put(0x80 | (code >> 12 & 63)), put(0x80 | (code >> 6 & 63)),
      put(0x80 | (code & 63));
}

class JsonParser {
 public:
  JsonParser(std::string_view content, std::string_view name, int max_depth)
      : content_(content), name_(name), max_depth_(max_depth) {}

  Json parse() {
    Json value = parse_value(0);
    skip_space();
    if (at_ != content_.size()) fail("text after the value");
    return value;
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    throw FormatError(text(name_, ", byte ", at_, ": ", what));
  }

  char peek() const { return at_ < content_.size() ? content_[at_] : '\0'; }
  bool take(char c) { return peek() == c && at_ < content_.size() ? (++at_, true) : false; }
  void expect(char c, std::string_view what) {
    if (!take(c)) fail(text("expected ", what));
  }
  void skip_space() {
    while (at_ < content_.size() && std::string_view(" \t\r\n").find(content_[at_]) != std::string_view::npos)
      ++at_;
  }
  bool take_word(std::string_view word) {
    return content_.substr(at_).starts_with(word) ? (at_ += word.size(), true) : false;
  }

  Json parse_value(int depth) {
    skip_space();
    if (at_ == content_.size()) fail("the text ends where a value is expected");
    switch (peek()) {
      case '{':
        return parse_object(depth + 1);
      case '[':
        return parse_array(depth + 1);
      case '"':
        return parse_string();
      case 't':
        if (take_word("true")) return true;
        break;
      case 'f':
        if (take_word("false")) return false;
        break;
      case 'n':
        if (take_word("null")) return nullptr;
        break;
      default:
        if (peek() == '-' || is_digit(peek())) return parse_number();
    }
    fail("expected a value");
  }

  Json parse_object(int depth) {
    if (depth > max_depth_) fail("nested too deeply");
    ++at_;
    Json::Object members;
    std::unordered_set<std::string> names;
    skip_space();
    if (take('}')) return members;
    do {
      skip_space();
      if (peek() != '"') fail("expected a member's name");
      const auto start = at_;
      std::string key = parse_string();
      if (!names.insert(key).second) {
        at_ = start;
        fail(text("a second member '", key, "'"));
      }
      skip_space();
      expect(':', "':'");
      Json value = parse_value(depth);
      members.emplace_back(std::move(key), std::move(value));
      skip_space();
    } while (take(','));
    expect('}', "',' or '}'");
    return members;
  }

  Json parse_array(int depth) {
    if (depth > max_depth_) fail("nested too deeply");
    ++at_;
    Json::Array values;
    skip_space();
    if (take(']')) return values;
    do {
      values.push_back(parse_value(depth));
      skip_space();
    } while (take(','));
    expect(']', "',' or ']'");
    return values;
  }

  std::string parse_string() {
    ++at_;
    std::string out;
    for (;;) {
      if (at_ >= content_.size()) fail("a string without end");
      const char c = content_[at_];
      if (c == '"') {
        ++at_;
        return out;
      }
      if (c == '\\') {
        ++at_;
        parse_escape(out);
      } else {
        if (static_cast<unsigned char>(c) < 0x20) fail("a control character in a string");
        const auto n = utf8_sequence(content_.substr(at_));
        if (n == 0) fail("a string that is not UTF-8");
        out.append(content_, at_, n);
        at_ += n;
      }
    }
  }

  void parse_escape(std::string& out) {
    constexpr std::string_view names = "\"\\/bfnrt", values = "\"\\/\b\f\n\r\t";
    if (const auto i = names.find(peek()); i != std::string_view::npos && at_ < content_.size()) {
      ++at_;
      out += values[i];
      return;
    }
    expect('u', "an escape");
    std::uint32_t code = parse_hex4();
    if (code >= 0xd800 && code < 0xdc00) {
      if (!take_word("\\u")) fail("half of a surrogate pair");
      const auto low = parse_hex4();
      if (low < 0xdc00 || low > 0xdfff) fail("half of a surrogate pair");
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code < 0xe000) {
      fail("half of a surrogate pair");
    }
    append_utf8(out, code);
  }

  std::uint32_t parse_hex4() {
    std::uint32_t code = 0;
    const auto digits = content_.substr(at_, 4);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
    if (digits.size() < 4 || error != std::errc{} || end != digits.data() + 4)
      fail("expected four hex digits");
    at_ += 4;
    return code;
  }

  static bool is_digit(char c) { return c >= '0' && c <= '9'; }
  void take_digits() {
    if (!is_digit(peek())) fail("expected a digit");
    while (is_digit(peek())) ++at_;
  }

  Json parse_number() {
    const auto start = at_;
    const bool negative = take('-');
    if (!take('0')) take_digits();
    bool integral = true;
    if (take('.')) integral = false, take_digits();
    if (peek() == 'e' || peek() == 'E') {
      ++at_;
      integral = false;
      if (!take('+')) static_cast<void>(take('-'));
      take_digits();
    }
    const auto digits = content_.substr(start, at_ - start);
    const char *first = digits.data(), *last = first + digits.size();
    std::int64_t whole = 0;
    if (integral && std::from_chars(first, last, whole).ec == std::errc{} && !(negative && whole == 0))
      return whole;
    double real = 0;
    const auto [end, error] = std::from_chars(first, last, real);
    if (error != std::errc{} || end != last) {
      at_ = start;
      fail("a number past the range of doubles");
    }
    return real;
  }

  std::string_view content_, name_;
  std::size_t at_ = 0;
  int max_depth_;
};

inline void append_json_string(std::string& out, std::string_view s) {
  out += '"';
  while (!s.empty()) {
    const auto n = utf8_sequence(s);
    require<ValueError>(n > 0, "JSON: a string that is not UTF-8 cannot be written: '", s.substr(0, 40), "'");
    const char c = s[0];
    constexpr std::string_view named = "\"\\\b\f\n\r\t", letters = "\"\\bfnrt";
    if (const auto i = named.find(c); i != std::string_view::npos) {
      (out += '\\') += letters[i];
    } else if (static_cast<unsigned char>(c) < 0x20) {
      constexpr char hex[] = "0123456789abcdef";
      ((out += "\\u00") += hex[c >> 4]) += hex[c & 15];
    } else {
      out.append(s.substr(0, n));
    }
    s.remove_prefix(n);
  }
  out += '"';
}

inline void append_json(std::string& out, const Json& value, int indent, int depth) {
  const auto new_line = [&](int level) {
    if (indent > 0) (out += '\n').append(static_cast<std::size_t>(indent * level), ' ');
  };
  const auto list = [&](char open, char close, const auto& items, const auto& append_item) {
    out += open;
    bool first = true;
    for (const auto& item : items) {
      if (!first) out += indent > 0 ? "," : ", ";
      first = false;
      new_line(depth + 1);
      append_item(item);
    }
    if (!first) new_line(depth);
    out += close;
  };
  if (value.is_null()) {
    out += "null";
  } else if (value.is_bool()) {
    out += value.as_bool() ? "true" : "false";
  } else if (value.is_int()) {
    kfer::detail::append_text(out, value.as_int());
  } else if (value.is_number()) {
    if (!std::isfinite(value.as_double())) {
      out += "null";
      return;
    }
    const std::string digits = text(value.as_double());
    out += digits;
    if (digits.find_first_of(".e") == std::string::npos) out += ".0";
  } else if (value.is_string()) {
    append_json_string(out, value.as_string());
  } else if (value.is_array()) {
    list('[', ']', value.as_array(), [&](const Json& item) { append_json(out, item, indent, depth + 1); });
  } else {
    list('{', '}', value.as_object(), [&](const auto& member) {
      append_json_string(out, member.first);
      out += ": ";
      append_json(out, member.second, indent, depth + 1);
    });
  }
}

}  // namespace detail

/// Parses exactly one JSON value. Throws FormatError naming `name` and the byte: anything RFC 8259 does not
/// allow, a name twice in one object, a string that is not UTF-8, nesting past `max_depth`.
inline Json parse_json(std::string_view content, std::string_view name = "JSON", int max_depth = 64) {
  return detail::JsonParser(content, name, max_depth).parse();
}

/// JSON text; `indent` > 0 puts each element on a line of its own. Doubles read back to the same value; NaN
/// and the infinities, which JSON lacks, become null. Throws ValueError for a string that is not UTF-8.
inline std::string to_string(const Json& value, int indent = 0) {
  std::string out;
  detail::append_json(out, value, indent, 0);
  return out;
}

}  // namespace kfer::io
