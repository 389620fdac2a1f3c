#include "kfer/io/tensorboard.hpp"

#include <doctest/doctest.h>

#include "io/support.hpp"

namespace io = kfer::io;
using test::TemporaryDirectory;

TEST_CASE("events have the bytes that TensorFlow gives them") {
  const io::TfRecordReader expected(test::data_path("events.tfrecords"));
  REQUIRE(expected.size() == 4);
  CHECK(io::detail::encode_version_event(1234.5) == expected.read(0));
  CHECK(io::detail::encode_scalar_event(1234.5, 0, "loss/train", 2.5f) == expected.read(1));
  CHECK(io::detail::encode_scalar_event(1235.5, 1, "loss/train", 1.25f) == expected.read(2));
  CHECK(io::detail::encode_scalar_event(1534.5, 300, "accuracy", -0.0f) == expected.read(3));
}

TEST_CASE("each scalar is in the file at once") {
  const TemporaryDirectory dir;
  io::EventWriter writer(dir.path());
  CHECK(writer.path().starts_with(dir / "events.out.tfevents."));
  CHECK(io::TfRecordReader(writer.path()).size() == 1);
  for (int step = 0; step < 3; ++step) {
    writer.add_scalar("loss", step, 1.0 / (step + 1));
    const io::TfRecordReader reader(writer.path());
    REQUIRE(reader.size() == static_cast<std::size_t>(step) + 2);
    const auto record = reader.read(reader.size() - 1);
    io::ProtoReader event(record, "event");
    REQUIRE(event.next());
    CHECK(event.fixed<double>() > 1.6e9);  // seconds since 1970
  }
  const io::EventWriter other(dir.path());
  CHECK(other.path() != writer.path());
  CHECK_THROWS_AS(io::EventWriter(dir / "none"), kfer::IoError);
}
