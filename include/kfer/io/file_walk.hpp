// The files of a folder, one after the other, in an order that does not depend on the file system.
#pragma once

#include <algorithm>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "kfer/core/error.hpp"
#include "kfer/io/file.hpp"

namespace kfer::io {

struct FileWalkOptions {
  bool recursive = false;  ///< also folders within, each where its name stands in the order
};

/// Walks through a folder in the order of the names' bytes. Holds the names of one folder at a time, of each
/// level, and nothing of the files. What is neither a regular file nor a folder (nor a link to a file, or to
/// nothing) is passed over; links to folders are not followed, so that no walk is endless.
class FileWalk {
 public:
  /// Throws IoError if `folder` cannot be listed.
  explicit FileWalk(const std::string& folder, FileWalkOptions options = {}) : options_(options) {
    if (const int code = enter(folder)) detail::throw_io_error("list", folder, code);
  }

  /// The path of the next file: `folder`, a slash, a name. Nothing after the last. A link to nothing, and a
  /// folder within that cannot be listed, come as paths themselves: to open them tells why.
  std::optional<std::string> next() {
    while (!levels_.empty()) {
      auto& level = levels_.back();
      if (level.names.empty()) {
        levels_.pop_back();
        continue;
      }
      auto [name, is_folder] = std::move(level.names.back());
      level.names.pop_back();
      std::string path = level.prefix + name;
      if (!is_folder || enter(path) != 0) return path;
    }
    return std::nullopt;
  }

 private:
  struct Level {
    std::string prefix;  ///< the folder with a slash
    std::vector<std::pair<std::string, bool>>
        names;  ///< and whether it is a folder; the next one is the last
  };

  /// Begins with `folder`; the system's error code, or 0.
  int enter(const std::string& folder) {
    namespace fs = std::filesystem;
    Level level{folder.ends_with('/') ? folder : folder + '/', {}};
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
      std::error_code ignored;
      const bool is_folder = entry->symlink_status(ignored).type() == fs::file_type::directory;
      const auto type = entry->status(ignored).type();
      if (is_folder ? options_.recursive : type == fs::file_type::regular || type == fs::file_type::not_found)
        level.names.emplace_back(entry->path().filename().native(), is_folder);
    }
    if (error) return error.value();
    std::ranges::sort(level.names, std::greater<>());
    levels_.push_back(std::move(level));
    return 0;
  }

  FileWalkOptions options_;
  std::vector<Level> levels_;
};

}  // namespace kfer::io
