#include "kfer/io/file_walk.hpp"

#include <doctest/doctest.h>

#include "io/support.hpp"

namespace io = kfer::io;

namespace {

std::vector<std::string> walk(const std::string& folder, io::FileWalkOptions options = {}) {
  std::vector<std::string> out;
  io::FileWalk files(folder, options);
  while (auto path = files.next()) out.push_back(path->substr(folder.size()));
  CHECK(!files.next());
  return out;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("a folder's files come by name; folders within where their names stand") {
  const test::TemporaryDirectory directory;
  for (const char* name : {"b.jpg", "a10", "a9", "Z", "c/2/deep", "c/1", "c/3", "d/x", "\xff"}) {
    std::filesystem::create_directories(std::filesystem::path(directory / name).parent_path());
    test::write(directory / name, {});
  }
  std::filesystem::create_directory(directory / "empty");
  std::filesystem::create_directory_symlink(directory.path(), directory / "c/loop");
  std::filesystem::create_symlink(directory / "b.jpg", directory / "link");
  std::filesystem::create_symlink("nowhere", directory / "dangling");
  CHECK(walk(directory.path()) == Names{"/Z", "/a10", "/a9", "/b.jpg", "/dangling", "/link", "/\xff"});
  CHECK(walk(directory.path(), {.recursive = true}) == Names{"/Z", "/a10", "/a9", "/b.jpg", "/c/1",
                                                             "/c/2/deep", "/c/3", "/d/x", "/dangling",
                                                             "/link", "/\xff"});
  CHECK(walk(directory / "c/").front() == "1");
  CHECK(walk(directory / "empty").empty());
}

TEST_CASE("what cannot be listed is named") {
  const test::TemporaryDirectory directory;
  CHECK(test::throws_with<kfer::IoError>([&] { io::FileWalk(directory / "none"); }, {"cannot list", "none"}));
  test::write(directory / "file", {});
  CHECK(test::throws_with<kfer::IoError>([&] { io::FileWalk(directory / "file"); }, {"cannot list", "file"}));
}
