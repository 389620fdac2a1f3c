// A disk that fails, for any program: loaded before its libraries (LD_PRELOAD), it refuses or cuts short the
// calls that concern files below one directory. Environment:
//
//   DISK_FAULTS_UNDER  the directory
//   DISK_FAULTS        what happens: "ENOSPC 17" refuses the 17th call with this error (EIO, EDQUOT, EROFS
//   too),
//                      "ENOSPC 17+" all from there on; "short": writes take a part, reads give a part;
//                      "EINTR": every second call is interrupted; "slow": each call takes a fifth of a
//                      millisecond, and writes take a part. Empty: nothing, calls are only counted.
//   DISK_FAULTS_LOG    a file that gets one line a call: its number, name and path
//
// Calls that count: open, mkdir, write, pread, fsync, rename, and close after writing (which closes all the
// same).
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

std::string setting(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

struct Plan {
  std::string under = setting("DISK_FAULTS_UNDER"), what = setting("DISK_FAULTS");
  int log = -1, error = 0;
  long at = 0;
  bool from_there_on = false, slow = what == "slow", cut = slow || what == "short",
       interrupt = what == "EINTR";

  Plan() {
    const auto name = setting("DISK_FAULTS_LOG");
    if (!name.empty())
      log = next<int(const char*, int, ...)>("open")(name.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666);
    const auto space = what.find(' ');
    if (space == std::string::npos) return;
    const auto kind = what.substr(0, space);
    error = kind == "ENOSPC" ? ENOSPC : kind == "EDQUOT" ? EDQUOT : kind == "EROFS" ? EROFS : EIO;
    at = std::atol(what.c_str() + space);
    from_there_on = what.back() == '+';
  }
};
const Plan& plan() {
  static const Plan plan;
  return plan;
}

/// What a descriptor is open for: nothing of ours, reading, writing.
enum class Use : char { other, read, write };
constexpr int most = 4096;
std::atomic<Use> uses[most];
Use use_of(int fd) {
  return fd >= 0 && fd < most ? uses[fd].load() : Use::other;
}

bool ours(const char* path) {
  return !plan().under.empty() && std::strncmp(path, plan().under.c_str(), plan().under.size()) == 0;
}

std::atomic<long> calls{0};

/// Counts a call; true if it is to fail, with errno set.
bool fails(const char* name, const char* path, int fd = -1) {
  const long number = ++calls;
  if (plan().slow) ::usleep(200);
  if (plan().log >= 0) {
    char link[64], target[512] = "", line[700];
    if (fd >= 0) {
      std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
      const auto n = ::readlink(link, target, sizeof target - 1);
      target[n > 0 ? n : 0] = '\0';
      path = target;
    }
    const int n = std::snprintf(line, sizeof line, "%ld %s %s\n", number, name, path);
    if (next<ssize_t(int, const void*, size_t)>("write")(plan().log, line, static_cast<size_t>(n)) < 0)
      std::abort();
  }
  const bool interruptible = std::strcmp(name, "rename") != 0 && std::strcmp(name, "mkdir") != 0;
  if (plan().interrupt && interruptible && number % 2) return errno = EINTR, true;
  if (plan().error == 0 || !(number == plan().at || (plan().from_there_on && number > plan().at)))
    return false;
  return errno = plan().error, true;
}

int open_as(const char* symbol, const char* path, int flags, mode_t mode) {
  if (!ours(path)) return next<int(const char*, int, ...)>(symbol)(path, flags, mode);
  if (fails("open", path)) return -1;
  const int fd = next<int(const char*, int, ...)>(symbol)(path, flags, mode);
  if (fd >= 0 && fd < most) uses[fd] = (flags & O_ACCMODE) == O_RDONLY ? Use::read : Use::write;
  return fd;
}

ssize_t read_as(const char* symbol, int fd, void* to, size_t n, off_t offset) {
  if (use_of(fd) != Use::other) {
    if (fails("pread", "", fd)) return -1;
    if (plan().cut && n > 1) n = (n + 1) / 2;
  }
  return next<ssize_t(int, void*, size_t, off_t)>(symbol)(fd, to, n, offset);
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
  va_end(more);
  return open_as("open", path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
  va_end(more);
  return open_as("open64", path, flags, mode);
}
int mkdir(const char* path, mode_t mode) {
  if (ours(path) && fails("mkdir", path)) return -1;
  return next<int(const char*, mode_t)>("mkdir")(path, mode);
}
int rename(const char* from, const char* to) {
  if (ours(to) && fails("rename", to)) return -1;
  return next<int(const char*, const char*)>("rename")(from, to);
}
ssize_t write(int fd, const void* from, size_t n) {
  if (use_of(fd) != Use::other) {
    if (fails("write", "", fd)) return -1;
    if (plan().cut && n > 1) n = (n + 2) / 3;
  }
  return next<ssize_t(int, const void*, size_t)>("write")(fd, from, n);
}
ssize_t pread(int fd, void* to, size_t n, off_t offset) {
  return read_as("pread", fd, to, n, offset);
}
ssize_t pread64(int fd, void* to, size_t n, off_t offset) {
  return read_as("pread64", fd, to, n, offset);
}
int fsync(int fd) {
  if (use_of(fd) != Use::other && fails("fsync", "", fd)) return -1;
  return next<int(int)>("fsync")(fd);
}
int close(int fd) {
  const Use use = use_of(fd);
  if (use != Use::other) uses[fd] = Use::other;
  const bool refuse = use == Use::write && fails("close", "", fd);
  const int code = errno;
  const int result = next<int(int)>("close")(fd);
  if (refuse) errno = code;
  return refuse ? -1 : result;
}

}  // extern "C"
