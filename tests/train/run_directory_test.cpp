// What a directory of a run loses when another run begins in it.
#include "kfer/train/run_directory.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <string>

using namespace kfer;
namespace fs = std::filesystem;

namespace {

/// The directory of a run that has finished; goes with the test.
struct Finished {
  std::string path;
  Finished() {
    std::string name = (fs::temp_directory_path() / "kfer_run_XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
    const RunDirectory run(path);
    for (const auto& file : {run.state(), run.best(), run.last(), path + "/result.json", path + "/notes"})
      io::atomic_write(file, "old");
  }
  ~Finished() { fs::remove_all(path); }
};

}  // namespace

TEST_CASE("what an earlier run left goes, its state with it, and nothing else") {
  const Finished old;
  const RunDirectory run(old.path);
  REQUIRE(run.has_state());
  run.remove_products();
  CHECK_FALSE(run.has_state());
  for (const auto& file : {run.state(), run.best(), run.last(), old.path + "/result.json"})
    CHECK_FALSE(fs::exists(file));
  CHECK(fs::exists(old.path + "/notes"));
  CHECK_NOTHROW(run.remove_products());  // there is none
}

TEST_CASE("a state that cannot be removed keeps its weights: it is still that run") {
  const Finished old;
  const RunDirectory run(old.path);
  fs::remove(run.state());
  fs::create_directory(run.state());  // unlink refuses it
  CHECK_THROWS_AS(run.remove_products(), IoError);
  CHECK(fs::exists(run.best()));
  CHECK(fs::exists(old.path + "/result.json"));
}
