// The text index of a TFRecord file, alone and against a file of 43 bytes.
#include "fuzz.hpp"
#include "kfer/io/tfrecord.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kfer::io;
  const auto content = fuzz::bytes(data, size);
  fuzz::run([&] {
    std::uint64_t next = 0;
    for (const auto& span : parse_tfrecord_index(as_text(content), "index")) {
      fuzz::check(span.offset == next && span.size >= tfrecord_frame_bytes);
      next = span.offset + span.size;
    }
  });
  if (size > 64) return 0;
  static const std::string records = [] {
    const std::string path = "/tmp/kfer_fuzz_" + std::to_string(::getpid()) + "_records";
    TfRecordWriter writer(path);
    writer.write(as_bytes("12345"));
    writer.write(as_bytes("123456"));
    writer.close();
    return path;
  }();
  const auto index = fuzz::file_with(content, "idx");
  for (const auto policy : {OnCorrupt::fail, OnCorrupt::skip})
    fuzz::run([&] {
      TfRecordReader(records, {.index_path = index, .on_corrupt = policy}).for_each([](std::size_t, Bytes) {
      });
    });
  return 0;
}
