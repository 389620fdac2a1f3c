// The image files that a command line means: files, folders, and lists of both.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kfer/io/file.hpp"
#include "kfer/io/file_walk.hpp"
#include "kfer/train/prediction.hpp"

namespace predict {

/// The lines of a file, or of standard input ("-"), without their ends (LF or CRLF); empty ones are passed
/// over.
class Lines {
 public:
  static constexpr std::size_t max_length = 1 << 16;

  /// Throws IoError if it cannot be opened.
  explicit Lines(const std::string& path) : name_(path == "-" ? "standard input" : path) {
    if (path == "-") return;
    file_ = kfer::io::detail::open_descriptor(path, O_RDONLY);
    if (!file_) kfer::io::detail::throw_io_error("open", path, errno);
  }

  /// Throws IoError if reading fails, FormatError for a line that cannot be a path: too long, or with a NUL.
  std::optional<std::string> next() {
    for (;;) {
      auto end = buffer_.find('\n', at_);
      if (end == std::string::npos && !ended_) {
        read();
        continue;
      }
      if (at_ == buffer_.size()) return std::nullopt;
      end = std::min(end, buffer_.size());
      std::string line = buffer_.substr(at_, end - at_);
      at_ = std::min(end + 1, buffer_.size());
      if (line.ends_with('\r')) line.pop_back();
      kfer::require<kfer::FormatError>(line.find('\0') == std::string::npos, "'", name_,
                                       "': a line with a NUL byte; expected one path a line");
      if (!line.empty()) return line;
    }
  }

 private:
  void read() {
    buffer_.erase(0, std::exchange(at_, 0));
    kfer::require<kfer::FormatError>(buffer_.size() <= max_length, "'", name_, "': a line of more than ",
                                     max_length, " bytes; expected one path a line");
    const auto before = buffer_.size();
    buffer_.resize(before + max_length);
    ssize_t n;
    do n = ::read(file_ ? file_.get() : STDIN_FILENO, buffer_.data() + before, max_length);
    while (n < 0 && errno == EINTR);
    if (n < 0) kfer::io::detail::throw_io_error("read", name_, errno);
    buffer_.resize(before + static_cast<std::size_t>(n));
    ended_ = n == 0;
  }

  std::string name_, buffer_;
  kfer::io::detail::Descriptor file_;
  std::size_t at_ = 0;
  bool ended_ = false;
};

/// Files one after the other: those named, those in folders that are named (of which only images), those in a
/// list.
class ImageSource {
 public:
  ImageSource(std::vector<std::string> paths, const std::string& list, bool recursive)
      : paths_(std::move(paths)), recursive_(recursive) {
    if (!list.empty()) list_.emplace(list);
  }

  std::optional<kfer::ImageFile> next() {
    for (;;) {
      if (walk_) {
        if (auto path = walk_->next()) return kfer::ImageFile{std::move(*path), true};
        walk_.reset();
      }
      auto path = next_named();
      if (!path) return std::nullopt;
      std::error_code ignored;
      if (!std::filesystem::is_directory(*path, ignored)) return kfer::ImageFile{std::move(*path)};
      try {
        walk_.emplace(*path, kfer::io::FileWalkOptions{.recursive = recursive_});
      } catch (const kfer::IoError&) {
        return kfer::ImageFile{std::move(*path)};  // to open it tells why
      }
    }
  }

 private:
  std::optional<std::string> next_named() {
    if (next_path_ < paths_.size()) return paths_[next_path_++];
    return list_ ? list_->next() : std::nullopt;
  }

  std::vector<std::string> paths_;
  std::size_t next_path_ = 0;
  std::optional<Lines> list_;
  std::optional<kfer::io::FileWalk> walk_;
  bool recursive_;
};

}  // namespace predict
