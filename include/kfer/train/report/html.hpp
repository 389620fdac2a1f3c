// HTML under construction. Only literals marked "..."_html are markup; whatever else is added is text and is
// escaped, so that no label, file name or argument can become a tag.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <string_view>

#include "kfer/core/error.hpp"
#include "kfer/io/json.hpp"

namespace kfer::report {

/// Markup known when the program is compiled: `"<td>"_html`.
struct Markup {
  std::string_view value;
};

consteval Markup operator""_html(const char* value, std::size_t size) {
  return {{value, size}};
}

/// `in` as the text of an element or of a quoted attribute: the five special characters as references, bytes
/// that are not UTF-8 and control characters as U+FFFD.
inline std::string escaped(std::string_view in) {
  std::string out;
  out.reserve(in.size());
  while (!in.empty()) {
    const char c = in[0];
    const auto n = io::detail::utf8_sequence(in);
    const bool control = (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') || c == 0x7f;
    if (n == 0 || control)
      out += "\xef\xbf\xbd";
    else if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else if (c == '\'')
      out += "&#39;";
    else
      out.append(in.substr(0, n));
    in.remove_prefix(n == 0 ? 1 : n);
  }
  return out;
}

/// A piece of a page.
class Html {
 public:
  Html() = default;
  template <class... Parts>
  explicit Html(const Parts&... parts) {
    add(parts...);
  }

  /// Appends: `Markup` and `Html` as they are, everything else that `text()` takes escaped.
  template <class... Parts>
  Html& add(const Parts&... parts) {
    (append(parts), ...);
    return *this;
  }

  bool empty() const { return value_.empty(); }
  const std::string& str() const& { return value_; }
  std::string str() && { return std::move(value_); }

 private:
  void append(Markup part) { value_ += part.value; }
  void append(const Html& part) { value_ += part.value_; }
  template <class T>
  void append(const T& part) {
    value_ += escaped(text(part));
  }

  std::string value_;
};

/// `value` with so many digits after the point, a true minus sign, and a plus sign if asked for.
inline std::string fixed(double value, int decimals, bool plus = false) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "\u221e" : "\u2212\u221e";
  char buffer[400];
  std::snprintf(buffer, sizeof buffer, "%.*f", std::clamp(decimals, 0, 12), std::abs(value));
  const bool zero = std::string_view(buffer).find_first_not_of("0.") == std::string_view::npos;
  return text(zero ? "" : value < 0 ? "\u2212" : plus ? "+" : "", static_cast<const char*>(buffer));
}

/// A fraction in percent: "83.69 %".
inline std::string percent(double fraction, int decimals = 2) {
  return text(fixed(100 * fraction, decimals), "\u00a0%");
}

}  // namespace kfer::report
