// The exception family of kfer, and `require`, the one way to check an argument.
//
// A message names what was wrong, where, what was expected and what was found. Checks stay on in release
// builds.
#pragma once

#include <charconv>
#include <concepts>
#include <stdexcept>
#include <string>
#include <string_view>

namespace kfer {

/// Base of every exception that kfer throws on purpose.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Shapes that do not fit each other or the operation.
class ShapeError : public Error {
 public:
  using Error::Error;
};

/// An argument outside of its domain.
class ValueError : public Error {
 public:
  using Error::Error;
};

/// A program called with wrong flags or operands; programs print it in one line and exit with code 2.
class UsageError : public Error {
 public:
  using Error::Error;
};

/// The operating system refused: a file missing, a disk full, a read or write that failed.
class IoError : public Error {
 public:
  using Error::Error;
};

/// A file was read but its content is not what its format demands (truncated, corrupt, of another kind).
class FormatError : public Error {
 public:
  using Error::Error;
};

/// A device is missing, not compiled in, or failed.
class DeviceError : public Error {
 public:
  using Error::Error;
};

/// An allocation failed; the message names the bytes asked for.
class OutOfMemoryError : public Error {
 public:
  using Error::Error;
};

/// A number that must be finite is not (a loss, a gradient norm).
class NumericError : public Error {
 public:
  using Error::Error;
};

namespace detail {

inline void append_text(std::string& out, std::string_view text) {
  out += text;
}
inline void append_text(std::string& out, const char* text) {
  out += text;
}
inline void append_text(std::string& out, char c) {
  out += c;
}
inline void append_text(std::string& out, bool b) {
  out += b ? "true" : "false";
}

template <class T>
requires(std::integral<T> || std::floating_point<T>) void append_text(std::string& out, T value) {
  char buffer[64];
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, value);
  out.append(buffer, end);
}

/// Types of kfer that know how to print themselves (Shape, Layout, ...).
template <class T>
requires requires(const T& value) {
  { to_string(value) } -> std::convertible_to<std::string>;
}
void append_text(std::string& out, const T& value) {
  out += to_string(value);
}

}  // namespace detail

/// Concatenates the text of all parts: strings, numbers, and every kfer type that has `to_string`.
template <class... Parts>
std::string text(const Parts&... parts) {
  std::string out;
  (detail::append_text(out, parts), ...);
  return out;
}

/// Throws `E` with the concatenated parts unless `ok`. The message is built only on failure.
template <class E = ValueError, class... Parts>
void require(bool ok, const Parts&... parts) {
  if (!ok) [[unlikely]]
    throw E(text(parts...));
}

}  // namespace kfer
