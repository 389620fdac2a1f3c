// TensorBoard event files: scalars, texts and images by tag and step, in TFRecord framing around
// tensorflow.Event messages
// (https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/util/event.proto and
// framework/summary.proto there).
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

/// Event{wall_time, step, summary{value{item}}}.
inline std::vector<std::byte> encode_summary_event(double wall_time, std::int64_t step,
                                                   const ProtoWriter& item) {
  ProtoWriter summary, event;
  summary.message(1, item);
  event.fixed(1, wall_time);
  if (step != 0) event.varint(2, static_cast<std::uint64_t>(step));
  event.message(5, summary);
  return std::move(event).take();
}

/// A value{tag, simple_value}.
inline std::vector<std::byte> encode_scalar_event(double wall_time, std::int64_t step, std::string_view tag,
                                                  float value) {
  ProtoWriter item;
  item.bytes(1, tag);
  item.fixed(2, value);
  return encode_summary_event(wall_time, step, item);
}

/// A value{tag, tensor{string, shape [1]}, metadata{plugin "text"}}.
inline std::vector<std::byte> encode_text_event(double wall_time, std::int64_t step, std::string_view tag,
                                                std::string_view content) {
  constexpr std::uint64_t dt_string = 7;
  ProtoWriter dimension, shape, tensor, plugin, metadata, item;
  dimension.varint(1, 1);
  shape.message(2, dimension);
  tensor.varint(1, dt_string);
  tensor.message(2, shape);
  tensor.bytes(8, content);
  plugin.bytes(1, "text");
  metadata.message(1, plugin);
  item.bytes(1, tag);
  item.message(8, tensor);
  item.message(9, metadata);
  return encode_summary_event(wall_time, step, item);
}

/// A value{tag, image{height, width, RGB, encoded}}.
inline std::vector<std::byte> encode_image_event(double wall_time, std::int64_t step, std::string_view tag,
                                                 int height, int width, Bytes encoded) {
  constexpr std::uint64_t rgb = 3;
  ProtoWriter image, item;
  image.varint(1, static_cast<std::uint64_t>(height));
  image.varint(2, static_cast<std::uint64_t>(width));
  image.varint(3, rgb);
  image.bytes(4, encoded);
  item.bytes(1, tag);
  item.message(4, image);
  return encode_summary_event(wall_time, step, item);
}

}  // namespace detail

/// Appends to an event file; each is handed to the system at once, so TensorBoard can follow a run.
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

  /// Adds a text, which TensorBoard shows as Markdown: arguments, notes. It must be UTF-8. Throws IoError.
  void add_text(std::string_view tag, std::int64_t step, std::string_view content) {
    write(detail::encode_text_event(now(), step, tag, content));
  }

  /// Adds an RGB image of this size, encoded as PNG or JPEG (io/image_write.hpp). Throws ValueError for an
  /// empty one, IoError.
  void add_image(std::string_view tag, std::int64_t step, int height, int width, Bytes encoded) {
    require(height > 0 && width > 0 && !encoded.empty(), "an image of ", height, " x ", width, " pixels and ",
            encoded.size(), " bytes cannot be shown");
    write(detail::encode_image_event(now(), step, tag, height, width, encoded));
  }

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
