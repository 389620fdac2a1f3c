// Files whose every failure is an IoError that names the path: whole reads, positioned reads, and saves that
// replace a file entirely or not at all.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "kfer/core/error.hpp"
#include "kfer/io/bytes.hpp"

namespace kfer::io {

namespace detail {

/// Throws IoError: "cannot <what> '<path>': <the system's words for `code`>".
[[noreturn]] inline void throw_io_error(std::string_view what, std::string_view path, int code) {
  throw IoError(text("cannot ", what, " '", path, "': ", std::generic_category().message(code)));
}

/// Calls again while a signal interrupts: what a call returns otherwise.
template <class Call>
auto uninterrupted(const Call& call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

/// An owned file descriptor.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Descriptor() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  void reset() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  /// Closes and tells what close said (network file systems report lost writes only here). Interrupted or
  /// not, the descriptor is gone, and may be another thread's by now: there is no second try.
  int close() { return ::close(std::exchange(fd_, -1)) == 0 || errno == EINTR ? 0 : errno; }

 private:
  int fd_ = -1;
};

inline Descriptor open_descriptor(const std::string& path, int flags) {
  return Descriptor(uninterrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0666); }));
}

/// Takes the advisory lock of a file; `operation` as flock's. False if another process has it, or the file
/// system has no locks.
inline bool lock(const Descriptor& fd, int operation) {
  return uninterrupted([&] { return ::flock(fd.get(), operation); }) == 0;
}

/// Writes all of `bytes`, through interruptions and short writes.
inline void write_all(int fd, Bytes bytes, std::string_view path) {
  while (!bytes.empty()) {
    const auto n = uninterrupted([&] { return ::write(fd, bytes.data(), bytes.size()); });
    if (n <= 0) throw_io_error("write", path, n < 0 ? errno : ENOSPC);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
}

inline std::pair<std::string, std::string> split_path(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return {".", path};
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

/// Where a save must really go: a symbolic link's target, so that saving never replaces the link itself.
inline std::string resolve_link(const std::string& path) {
  struct stat info;
  if (::lstat(path.c_str(), &info) != 0 || !S_ISLNK(info.st_mode)) return path;
  char* resolved = ::realpath(path.c_str(), nullptr);
  if (resolved == nullptr) throw_io_error("follow the link", path, errno);
  std::string out = resolved;
  std::free(resolved);
  return out;
}

}  // namespace detail

/// A file open for reading at any offset; reads are thread-safe (pread), and the file may be moved or
/// replaced meanwhile without harm.
class File {
 public:
  /// Throws IoError if `path` cannot be opened or is not a regular file.
  explicit File(std::string path)
      : path_(std::move(path)),
        fd_(detail::open_descriptor(path_, O_RDONLY | O_NONBLOCK)) {  // a named pipe would wait for a writer
    if (!fd_) detail::throw_io_error("open", path_, errno);
    require<IoError>(S_ISREG(status().st_mode), "cannot read '", path_, "': not a regular file");
  }

  const std::string& path() const { return path_; }

  /// Bytes the file holds now.
  std::uint64_t size() const { return static_cast<std::uint64_t>(status().st_size); }

  /// Reads from `offset` until `out` is full or the file ends; returns the bytes read.
  std::size_t read_some(std::uint64_t offset, std::span<std::byte> out) const {
    require<ValueError>(offset <= static_cast<std::uint64_t>(std::numeric_limits<off_t>::max()) - out.size(),
                        "offset ", offset, " is past what '", path_, "' can hold");
    std::size_t done = 0;
    while (done < out.size()) {
      const auto n = detail::uninterrupted([&] {
        return ::pread(fd_.get(), out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
      });
      if (n < 0) detail::throw_io_error("read", path_, errno);
      if (n == 0) break;
      done += static_cast<std::size_t>(n);
    }
    return done;
  }

  /// Fills `out` from `offset`; throws IoError if the file ends before.
  void read(std::uint64_t offset, std::span<std::byte> out) const {
    const auto n = read_some(offset, out);
    require<IoError>(n == out.size(), "cannot read '", path_, "': it ends at byte ", offset + n, ", ",
                     out.size(), " bytes were expected from byte ", offset);
  }

 private:
  struct stat status() const {
    struct stat info;
    if (::fstat(fd_.get(), &info) != 0) detail::throw_io_error("inspect", path_, errno);
    return info;
  }

  std::string path_;
  detail::Descriptor fd_;
};

/// Reads a whole regular file. Throws IoError, also when it holds more than `max_bytes` (before allocating).
inline std::vector<std::byte> read_file(const std::string& path,
                                        std::uint64_t max_bytes = std::uint64_t{1} << 40) {
  const File file(path);
  const auto size = file.size();
  require<IoError>(size <= max_bytes, "cannot read '", path, "': it holds ", size, " bytes, at most ",
                   max_bytes, " are allowed");
  std::vector<std::byte> bytes(static_cast<std::size_t>(size));
  file.read(0, bytes);
  return bytes;
}

/// Reads a whole text file.
inline std::string read_text(const std::string& path, std::uint64_t max_bytes = std::uint64_t{1} << 32) {
  const auto bytes = read_file(path, max_bytes);
  return std::string(as_text(bytes));
}

namespace detail {

/// What the name of a temporary file holds between the name of the file to be and the numbers of the process.
inline constexpr std::string_view saving_marker = ".saving-";

/// Removes the temporary files in `directory` that killed processes left of saves of the file called `name`
/// (or, if empty, of any file), and spares those in use, which are locked. What cannot be removed stays: it
/// is in nobody's way.
inline void remove_leftovers(const std::string& directory, std::string_view name) {
  DIR* listing = ::opendir(directory.c_str());
  if (listing == nullptr) return;
  while (const dirent* entry = ::readdir(listing)) {
    const std::string_view found = entry->d_name;
    const auto at = found.rfind(saving_marker);
    if (at == std::string_view::npos || at == 0 || !(name.empty() || found.substr(0, at) == name)) continue;
    const auto numbers = found.substr(at + saving_marker.size());
    if (numbers.empty() || numbers.find_first_not_of("0123456789-") != std::string_view::npos) continue;
    const std::string candidate = text(directory, '/', found);
    const auto fd = open_descriptor(candidate, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (fd && lock(fd, LOCK_EX | LOCK_NB)) ::unlink(candidate.c_str());
  }
  ::closedir(listing);
}

}  // namespace detail

/// Removes what killed processes left of unfinished saves in `directory`. Each save removes what is left of
/// the same file; this is for files that may not be saved again.
inline void remove_leftovers(const std::string& directory) {
  detail::remove_leftovers(directory, "");
}

/// A new version of a file in the making: written to a temporary file beside it, and put in its place by
/// `commit`.
///
/// At any moment, `path` is what it was before or complete and new, through a full disk, an I/O error or a
/// kill; once `commit` has returned, the new content is on disk under that name. Without `commit` the
/// destructor removes the temporary file; one left behind by a killed process is removed by the next save of
/// the same file (a lock tells it from one in use).
class AtomicFile {
 public:
  /// Throws IoError if no file can be created beside `path`, or `path` is something else than a regular file.
  explicit AtomicFile(const std::string& path) : path_(detail::resolve_link(path)) {
    struct stat info;
    require<IoError>(::stat(path_.c_str(), &info) != 0 || S_ISREG(info.st_mode), "cannot save '", path_,
                     "': it exists and is not a regular file");
    const auto [directory, name] = detail::split_path(path_);
    detail::remove_leftovers(directory, name);
    create();
    buffer_.reserve(buffer_size);
  }
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile() { discard(); }

  const std::string& path() const { return path_; }
  /// Bytes written so far.
  std::uint64_t size() const { return size_; }

  /// Appends. Throws IoError if the disk refuses; the save is then lost, the old file is not.
  void write(Bytes bytes) {
    require<ValueError>(static_cast<bool>(fd_), "'", path_, "' is written after it was saved or failed");
    size_ += bytes.size();
    if (buffer_.size() + bytes.size() > buffer_size) flush();
    if (bytes.size() >= buffer_size)
      guarded([&] { detail::write_all(fd_.get(), bytes, path_); });
    else
      append(buffer_, bytes);
  }
  void write(std::string_view characters) { write(as_bytes(characters)); }

  /// Makes the new content durable and puts it in place of the old: flush, fsync, rename, fsync of the
  /// directory.
  void commit() {
    require<ValueError>(static_cast<bool>(fd_), "'", path_, "' is saved twice or after a failure");
    flush();
    guarded([&] {
      if (detail::uninterrupted([&] { return ::fsync(fd_.get()); }) != 0)
        detail::throw_io_error("flush to disk", path_, errno);
      if (::rename(temporary_.c_str(), path_.c_str()) != 0) detail::throw_io_error("save", path_, errno);
    });
    temporary_.clear();
    if (const int code = fd_.close()) detail::throw_io_error("close", path_, code);
    const auto directory = detail::split_path(path_).first;
    const auto fd = detail::open_descriptor(directory, O_RDONLY | O_DIRECTORY);
    if (!fd) detail::throw_io_error("open the directory", directory, errno);
    // Some file systems cannot sync a directory and say EINVAL: then renames are as durable there as they
    // get.
    if (detail::uninterrupted([&] { return ::fsync(fd.get()); }) != 0 && errno != EINVAL)
      detail::throw_io_error("flush the directory", directory, errno);
  }

 private:
  static constexpr std::size_t buffer_size = 1 << 16;

  template <class Action>
  void guarded(const Action& action) {
    try {
      action();
    } catch (...) {
      discard();
      throw;
    }
  }

  void flush() {
    guarded([&] { detail::write_all(fd_.get(), buffer_, path_); });
    buffer_.clear();
  }

  void discard() {
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
    temporary_.clear();
    fd_.reset();
  }

  void create() {
    static std::atomic<unsigned> counter{0};
    for (int attempt = 0; attempt < 100; ++attempt) {
      temporary_ =
          text(path_, detail::saving_marker, static_cast<long>(::getpid()), '-', counter.fetch_add(1));
      fd_ = detail::open_descriptor(temporary_, O_WRONLY | O_CREAT | O_EXCL);
      if (!fd_ && errno == EEXIST) continue;
      if (!fd_) {
        const int code = errno;
        temporary_.clear();
        detail::throw_io_error("save", path_, code);
      }
      // The lock says "in use" to the sweep of others; one that came before the lock has unlinked the file:
      // again.
      struct stat info;
      static_cast<void>(detail::lock(fd_, LOCK_EX));
      if (::fstat(fd_.get(), &info) == 0 && info.st_nlink > 0) return;
    }
    temporary_.clear();
    throw IoError(text("cannot save '", path_, "': no name is free for a temporary file"));
  }

  std::string path_, temporary_;
  detail::Descriptor fd_;
  std::vector<std::byte> buffer_;
  std::uint64_t size_ = 0;
};

/// Replaces `path` by what `writer(AtomicFile&)` writes: entirely, or (if anything throws or the process
/// dies) not at all. Throws IoError, and whatever `writer` throws.
template <class Writer>
requires std::invocable<Writer&, AtomicFile&>
void atomic_write(const std::string& path, Writer&& writer) {
  AtomicFile file(path);
  writer(file);
  file.commit();
}

/// Replaces `path` by `content`.
inline void atomic_write(const std::string& path, std::string_view content) {
  atomic_write(path, [&](AtomicFile& file) { file.write(content); });
}

/// A log of one writer: a file opened for appending, each write handed to the system before it returns. Of a
/// write that fails, nothing stays.
class AppendFile {
 public:
  /// Throws IoError if `path` can be neither opened nor created.
  explicit AppendFile(std::string path)
      : path_(std::move(path)), fd_(detail::open_descriptor(path_, O_WRONLY | O_CREAT | O_APPEND)) {
    if (!fd_) detail::throw_io_error("open", path_, errno);
  }
  const std::string& path() const { return path_; }
  /// Throws IoError if the disk refuses.
  void write(Bytes bytes) {
    struct stat before;
    const bool known = ::fstat(fd_.get(), &before) == 0 && S_ISREG(before.st_mode);
    try {
      detail::write_all(fd_.get(), bytes, path_);
    } catch (...) {
      // What the disk took of it would be a torn record. If this fails too, readers must cope, as after a
      // kill.
      [[maybe_unused]] const bool restored = known && ::ftruncate(fd_.get(), before.st_size) == 0;
      throw;
    }
  }
  void write(std::string_view characters) { write(as_bytes(characters)); }
  /// Closes the file, the last occasion for the system to refuse what was written. Throws IoError.
  void close() {
    if (const int code = fd_ ? fd_.close() : 0) detail::throw_io_error("close", path_, code);
  }

 private:
  std::string path_;
  detail::Descriptor fd_;
};

}  // namespace kfer::io
