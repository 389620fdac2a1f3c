#include "kfer/io/file.hpp"

#include <doctest/doctest.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>

#include "io/support.hpp"

namespace io = kfer::io;
using kfer::IoError;
using test::TemporaryDirectory;
using test::throws_with;

namespace {

/// A content that tells itself complete: its length and one repeated letter.
std::string content(char letter, std::size_t n) {
  return std::to_string(n) + ':' + std::string(n, letter);
}

bool complete(const std::string& s) {
  const auto colon = s.find(':');
  if (colon == std::string::npos) return false;
  const auto n = std::stoul(s.substr(0, colon));
  return s.size() == colon + 1 + n && s.find_first_not_of(s[colon + 1], colon + 1) == std::string::npos;
}

/// Runs `body` in a child process; true if it returned true.
template <class Body>
bool in_child(const Body& body) {
  const auto pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    bool ok = false;
    try {
      ok = body();
    } catch (...) {
    }
    ::_exit(ok ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

TEST_CASE("a file is read whole, at an offset, and not past its end") {
  const TemporaryDirectory dir;
  const auto path = dir / "a";
  io::atomic_write(path, "0123456789");
  CHECK(io::read_text(path) == "0123456789");
  const io::File file(path);
  CHECK(file.size() == 10);
  std::byte four[4];
  file.read(6, four);
  CHECK(io::as_text(four) == "6789");
  CHECK(file.read_some(8, four) == 2);
  CHECK(file.read_some(99, four) == 0);
  CHECK(throws_with<IoError>([&] { file.read(7, four); }, {path, "ends at byte 10", "from byte 7"}));
  CHECK_THROWS_AS(file.read_some(~std::uint64_t{0}, four), kfer::ValueError);
  CHECK(throws_with<IoError>([&] { io::read_file(path, 9); }, {path, "10 bytes", "at most 9"}));
}

TEST_CASE("what cannot be opened is an IoError that names the path and the system's reason") {
  const TemporaryDirectory dir;
  CHECK(throws_with<IoError>([&] { io::read_file(dir / "none"); }, {dir / "none", "No such file"}));
  CHECK(throws_with<IoError>([&] { io::read_file(dir.path()); }, {dir.path(), "not a regular file"}));
  REQUIRE(::mkfifo((dir / "pipe").c_str(), 0666) == 0);  // nobody writes to it, and nobody waits for that
  CHECK(throws_with<IoError>([&] { io::read_file(dir / "pipe"); }, {dir / "pipe", "not a regular file"}));
  CHECK(
      throws_with<IoError>([&] { io::atomic_write(dir / "none/a", "x"); }, {dir / "none/a", "No such file"}));
  CHECK(throws_with<IoError>([&] { io::atomic_write(dir.path(), "x"); }, {dir.path(), "not a regular file"}));
  CHECK(
      throws_with<IoError>([&] { io::atomic_write("/dev/full", "x"); }, {"/dev/full", "not a regular file"}));
  CHECK(throws_with<IoError>([&] { io::AppendFile(dir / "none/a"); }, {dir / "none/a", "No such file"}));
}

TEST_CASE("a save replaces the whole file or nothing") {
  const TemporaryDirectory dir;
  const auto path = dir / "a";
  io::atomic_write(path, content('a', 200000));
  CHECK(io::read_text(path) == content('a', 200000));
  io::atomic_write(path, content('b', 3));
  CHECK(io::read_text(path) == content('b', 3));
  CHECK_THROWS_AS(io::atomic_write(path,
                                   [](io::AtomicFile& file) {
                                     file.write(content('c', 100000));
                                     throw kfer::ValueError("from the writer");
                                   }),
                  kfer::ValueError);
  CHECK(io::read_text(path) == content('b', 3));
  CHECK(dir.list() == std::vector<std::string>{"a"});

  io::AtomicFile twice(path);
  twice.write("x");
  twice.commit();
  CHECK_THROWS_AS(twice.write("y"), kfer::ValueError);
  CHECK_THROWS_AS(twice.commit(), kfer::ValueError);
  CHECK(io::read_text(path) == "x");
}

TEST_CASE("a save through a symbolic link changes the file it points to") {
  const TemporaryDirectory dir;
  io::atomic_write(dir / "real", "old");
  std::filesystem::create_symlink("real", dir / "link");
  io::atomic_write(dir / "link", "new");
  CHECK(std::filesystem::is_symlink(dir / "link"));
  CHECK(io::read_text(dir / "real") == "new");
}

TEST_CASE("a device that is full is an IoError") {
  io::AppendFile full("/dev/full");
  CHECK(throws_with<IoError>([&] { full.write("x"); }, {"/dev/full", "No space left"}));
}

TEST_CASE("a full file system leaves the old file") {
  // Mounting needs rights that not every machine gives; the test of the size limit below needs none.
  const TemporaryDirectory dir;
  if (::mount("tmpfs", dir.path().c_str(), "tmpfs", 0, "size=256k") != 0) {
    MESSAGE("no right to mount a small file system: skipped");
    return;
  }
  const auto path = dir / "a";
  io::atomic_write(path, content('a', 1000));
  CHECK(
      throws_with<IoError>([&] { io::atomic_write(path, content('b', 1 << 20)); }, {path, "No space left"}));
  CHECK(io::read_text(path) == content('a', 1000));
  CHECK(dir.list() == std::vector<std::string>{"a"});
  CHECK(::umount(dir.path().c_str()) == 0);
}

TEST_CASE("a write that the system cuts off leaves the old file") {
  const TemporaryDirectory dir;
  const auto path = dir / "a";
  io::atomic_write(path, content('a', 1000));
  // Limits at every stage: within the buffer, and after many writes.
  for (const rlim_t limit : {rlim_t{0}, rlim_t{100}, rlim_t{1} << 16, rlim_t{300000}})
    CHECK(in_child([&] {
      ::signal(SIGXFSZ, SIG_IGN);
      const rlimit bound{limit, limit};
      if (::setrlimit(RLIMIT_FSIZE, &bound) != 0) return false;
      return throws_with<IoError>(
          [&] {
            io::atomic_write(path, [](io::AtomicFile& file) {
              for (int i = 0; i < 40; ++i) file.write(std::string(10000, 'b'));
            });
          },
          {path, "File too large"});
    }));
  CHECK(io::read_text(path) == content('a', 1000));
  CHECK(dir.list() == std::vector<std::string>{"a"});
}

TEST_CASE("a kill at any moment leaves the old content or the new, and the next save sweeps up") {
  const TemporaryDirectory dir;
  const auto path = dir / "a";
  io::atomic_write(path, content('a', 300000));
  int interrupted = 0;
  for (int i = 0; i < 40; ++i) {
    const auto pid = ::fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
      for (char letter = 'b';; letter = letter == 'z' ? 'b' : static_cast<char>(letter + 1))
        io::atomic_write(path, content(letter, 300000 + static_cast<std::size_t>(letter)));
    }
    ::usleep(static_cast<useconds_t>(500 + i * 377));
    ::kill(pid, SIGKILL);
    int status = 0;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    REQUIRE(complete(io::read_text(path)));
    interrupted += dir.list().size() > 1;
  }
  CHECK(interrupted > 0);  // else the kills missed what they are to test
  io::atomic_write(dir / "a.saving-notes", "not a temporary file");
  io::atomic_write(path, "end");
  CHECK(dir.list() == std::vector<std::string>{"a", "a.saving-notes"});
}

TEST_CASE("the sweep spares a save in progress") {
  const TemporaryDirectory dir;
  const auto path = dir / "a";
  io::AtomicFile first(path);
  first.write("first");
  io::atomic_write(path, "second");
  CHECK(io::read_text(path) == "second");
  first.commit();
  CHECK(io::read_text(path) == "first");
}

TEST_CASE("a log grows by what is appended") {
  const TemporaryDirectory dir;
  io::AppendFile(dir / "log").write("one\n");
  io::AppendFile(dir / "log").write("two\n");
  CHECK(io::read_text(dir / "log") == "one\ntwo\n");
}
