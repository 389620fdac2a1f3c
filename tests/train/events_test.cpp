// A run's TensorBoard events hold what its results.csv holds. tests/peers/tensorboard_test.py lets
// TensorBoard read them.
#include <doctest/doctest.h>

#include <cstdlib>

#include "kfer/io/image_write.hpp"
#include "kfer/io/tfrecord.hpp"
#include "train/tiny.hpp"

using namespace tiny;

namespace {

struct Scalar {
  std::string tag;
  std::int64_t step;
  float value;
};

/// The scalars of an event file, read field by field.
std::vector<Scalar> scalars_of(const std::string& path) {
  std::vector<Scalar> out;
  const io::TfRecordReader file(path);
  for (std::size_t i = 0; i < file.size(); ++i) {
    const auto record = file.read(i);
    io::ProtoReader event(record, "event");
    std::int64_t step = 0;
    while (event.next()) {
      if (event.field() == 2) {
        step = static_cast<std::int64_t>(event.varint());
      } else if (event.field() == 5) {
        io::ProtoReader summary(event.bytes(), "summary");
        while (summary.next()) {
          io::ProtoReader value(summary.bytes(), "value");
          Scalar scalar{"", step, NAN};
          bool is_scalar = false;
          while (value.next()) {
            if (value.field() == 1)
              scalar.tag = io::as_text(value.bytes());
            else if (value.field() == 2)
              scalar.value = value.fixed<float>(), is_scalar = true;
            else
              value.skip();
          }
          if (is_scalar) out.push_back(scalar);
        }
      } else {
        event.skip();
      }
    }
  }
  return out;
}

}  // namespace

TEST_CASE("events of a run, resumed once, are the rows of its table") {
  Scratch scratch;
  const char* given = std::getenv("KFER_EVENTS_DIR");
  const std::string directory = given ? std::string(given) : scratch.path;
  Run(directory, 3).fit();
  Run resumed(directory, 5);
  resumed.options.resume = true;
  resumed.options.early_stopping.patience = 100;
  resumed.fit();

  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    if (entry.path().filename().string().starts_with("events.out.tfevents.")) files.push_back(entry.path());
  REQUIRE(files.size() == 2);
  std::vector<Scalar> scalars;
  for (const auto& file : files)
    for (const auto& scalar : scalars_of(file)) scalars.push_back(scalar);
  CHECK(scalars.size() == 5 * 3);
  const auto table = io::read_text(directory + "/results.csv");
  std::stringstream lines(table);
  std::string line;
  std::getline(lines, line);
  CHECK(line == "epoch,loss,val_loss,lr");
  for (std::int64_t epoch = 1; std::getline(lines, line); ++epoch) {
    std::stringstream cells(line);
    std::string cell;
    std::getline(cells, cell, ',');
    CHECK(cell == std::to_string(epoch));
    for (const char* tag : {"loss", "val_loss", "lr"}) {
      std::getline(cells, cell, ',');
      CHECK(std::count_if(scalars.begin(), scalars.end(), [&](const Scalar& s) {
              return s.tag == tag && s.step == epoch && s.value == static_cast<float>(std::stod(cell));
            }) == 1);
    }
  }

  // Texts, images, and scalars that are not finite, for TensorBoard to read.
  io::EventWriter writer(directory);
  writer.add_text("arguments", 0, "| lr | 1e-5 |\n\ud654\ub0a8 <b>\"&\"</b>");
  const std::vector<std::uint8_t> pixels{255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 8, 7, 6, 5, 4, 3, 2, 1};
  writer.add_image("faces/first", 4, 2, 3,
                   io::encode_png({.height = 2, .width = 3, .channels = 3, .pixels = pixels}));
  writer.add_scalar("odd", 1, NAN);
  writer.add_scalar("odd", std::int64_t{1} << 40, -INFINITY);
  CHECK_THROWS_AS(writer.add_image("none", 0, 0, 0, {}), ValueError);
  CHECK(scalars_of(writer.path()).size() == 2);
}
