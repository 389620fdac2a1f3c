// Where a run keeps its files: runs/<task>/<name>/ with args.json, results.csv, TensorBoard events,
// weights/{best,last}.safetensors and state.safetensors.
#pragma once

#include <dirent.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <string>
#include <string_view>

#include "kfer/io/file.hpp"

namespace kfer {

/// Whether `directory` holds the state of a run.
inline bool holds_run(const std::string& directory) {
  return ::access((directory + "/state.safetensors").c_str(), F_OK) == 0;
}

/// A directory that one run at a time may write to.
class RunDirectory {
 public:
  /// Makes the directory with everything above it, takes its lock, and removes what a killed process left of
  /// unfinished saves. Throws IoError if the system refuses, UsageError if another process has the run.
  explicit RunDirectory(std::string path) : path_(std::move(path)) {
    require<UsageError>(!path_.empty(), "a run needs a directory");
    make(path_ + "/weights");
    lock_ = io::detail::open_descriptor(path_, O_RDONLY | O_DIRECTORY);
    if (!lock_) io::detail::throw_io_error("open the directory", path_, errno);
    require<UsageError>(io::detail::lock(lock_, LOCK_EX | LOCK_NB) || errno != EWOULDBLOCK, "'", path_,
                        "' is in use by another process");
    for (const auto& directory : {path_, path_ + "/weights"}) io::remove_leftovers(directory);
  }

  const std::string& path() const { return path_; }
  std::string arguments() const { return path_ + "/args.json"; }
  std::string results() const { return path_ + "/results.csv"; }
  std::string state() const { return path_ + "/state.safetensors"; }
  std::string best() const { return path_ + "/weights/best.safetensors"; }
  std::string last() const { return path_ + "/weights/last.safetensors"; }
  bool has_state() const { return holds_run(path_); }

  /// Removes an earlier run: its state first, since without it there is none to resume; then weights, events,
  /// and the pages and figures that its program made of them. Throws IoError if the state cannot be removed;
  /// what else cannot stays.
  void remove_products() const {
    if (::unlink(state().c_str()) != 0 && errno != ENOENT)
      io::detail::throw_io_error("remove", state(), errno);
    for (const auto& file : {best(), last(), path_ + "/result.json", path_ + "/report.html"})
      ::unlink(file.c_str());
    DIR* listing = ::opendir(path_.c_str());
    if (listing == nullptr) return;
    while (const dirent* entry = ::readdir(listing))
      if (std::string_view(entry->d_name).starts_with("events.out.tfevents."))
        ::unlink((path_ + '/' + entry->d_name).c_str());
    ::closedir(listing);
  }

 private:
  static void make(const std::string& path) {
    for (std::size_t at = path.find('/', 1);; at = path.find('/', at + 1)) {
      const std::string part = path.substr(0, at);
      if (::mkdir(part.c_str(), 0777) != 0 && errno != EEXIST)
        io::detail::throw_io_error("make the directory", part, errno);
      if (at == std::string::npos) return;
    }
  }

  std::string path_;
  io::detail::Descriptor lock_;
};

}  // namespace kfer
