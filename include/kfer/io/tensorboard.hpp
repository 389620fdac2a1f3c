// TensorBoard event files: scalars by tag and step, in TFRecord framing around tensorflow.Event messages
// (https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/util/event.proto).
#pragma once

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "kfer/io/file.hpp"
#include "kfer/io/protobuf.hpp"
#include "kfer/io/tfrecord.hpp"

namespace kfer::io {

namespace detail {

/// Event{wall_time, file_version = "brain.Event:2"}: the first record of every event file.
inline std::vector<std::byte> encode_version_event(double wall_time) {
  ProtoWriter event;
  event.fixed(1, wall_time);
  event.bytes(3, "brain.Event:2");
  return std::move(event).take();
}

/// Event{wall_time, step, summary{value{tag, simple_value}}}.
inline std::vector<std::byte> encode_scalar_event(double wall_time, std::int64_t step, std::string_view tag,
                                                  float value) {
  ProtoWriter item, summary, event;
  item.bytes(1, tag);
  item.fixed(2, value);
  summary.message(1, item);
  event.fixed(1, wall_time);
  if (step != 0) event.varint(2, static_cast<std::uint64_t>(step));
  event.message(5, summary);
  return std::move(event).take();
}

}  // namespace detail

/// Appends scalars to an event file; each is handed to the system at once, so TensorBoard can follow a run.
class EventWriter {
 public:
  /// Starts a new event file in `directory`, which must exist. Throws IoError.
  explicit EventWriter(const std::string& directory) : file_(directory + '/' + file_name()) {
    write(detail::encode_version_event(now()));
  }

  const std::string& path() const { return file_.path(); }

  /// Adds `value` to curve `tag` at `step`. Throws IoError.
  void add_scalar(std::string_view tag, std::int64_t step, double value) {
    write(detail::encode_scalar_event(now(), step, tag, static_cast<float>(value)));
  }

  /// Ends the file. Throws IoError if the disk refuses something written before only now.
  void close() { file_.close(); }

 private:
  static double now() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  }

  static std::string file_name() {
    static std::atomic<unsigned> counter{0};
    char host[256] = "localhost";
    if (::gethostname(host, sizeof host - 1) != 0) std::snprintf(host, sizeof host, "localhost");
    return text("events.out.tfevents.", static_cast<std::int64_t>(now()), '.', static_cast<const char*>(host),
                '.', static_cast<long>(::getpid()), '.', counter.fetch_add(1));
  }

  /// One record in one write, so that a reader or a crash sees it whole or not.
  void write(Bytes event) {
    const auto [header, footer] = tfrecord_frame(event);
    std::vector<std::byte> frame(header.begin(), header.end());
    append(frame, event);
    append(frame, Bytes(footer));
    file_.write(frame);
  }

  AppendFile file_;
};

}  // namespace kfer::io
