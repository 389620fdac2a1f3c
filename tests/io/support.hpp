// What the tests of io/ share: a directory that cleans itself up, test data, and checks of messages.
#pragma once

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "kfer/io/file.hpp"

namespace test {

/// A fresh directory, removed with all in it at the end of the scope.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "kfer_io_XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  /// Names of what lies in it.
  std::vector<std::string> list() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path_))
      names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }

 private:
  std::string path_;
};

/// A committed test file (made by tools/make_io_test_data.py).
inline std::string data_path(const std::string& name) {
  return std::string(KFER_TEST_DATA) + "/io/" + name;
}
inline std::vector<std::byte> data(const std::string& name) {
  return kfer::io::read_file(data_path(name));
}

/// True if `action` throws `E` with all of `words` in its message.
template <class E, class Action>
bool throws_with(const Action& action, const std::vector<std::string>& words) {
  try {
    action();
  } catch (const E& error) {
    const std::string message = error.what();
    for (const auto& word : words)
      if (message.find(word) == std::string::npos) {
        MESSAGE("'", word, "' is not in: ", message);
        return false;
      }
    return true;
  } catch (const std::exception& error) {
    MESSAGE("another exception: ", error.what());
  }
  return false;
}

/// True if `action` returns or throws a kfer::Error: anything else is a defect in a parser.
template <class Action>
bool survives(const Action& action) {
  try {
    action();
  } catch (const kfer::Error&) {
  } catch (const std::exception& error) {
    MESSAGE("an untyped exception: ", error.what());
    return false;
  }
  return true;
}

/// Calls `check` with every prefix of `bytes`, and with every single bit of `bytes` flipped.
template <class Check>
void damage(const std::vector<std::byte>& bytes, const Check& check) {
  for (std::size_t n = 0; n < bytes.size(); ++n)
    check(std::vector<std::byte>(bytes.begin(), bytes.begin() + n));
  auto copy = bytes;
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    const auto mask = static_cast<std::byte>(1u << bit % 8);
    copy[bit / 8] ^= mask;
    check(copy);
    copy[bit / 8] ^= mask;
  }
}

inline void write(const std::string& path, kfer::io::Bytes bytes) {
  std::filesystem::remove(path);
  kfer::io::AppendFile(path).write(bytes);
}

}  // namespace test
