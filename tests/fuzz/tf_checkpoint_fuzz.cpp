// TensorFlow checkpoints and the snappy blocks in them: whatever is accepted lies within the data, with the
// stated sizes. The input is an index followed by one shard; CRCs of the index's blocks are made right first,
// or no input would pass them.
#include "fuzz.hpp"
#include "kfer/io/tf_checkpoint.hpp"

namespace {

using namespace kfer::io;

/// Where the footer's handles point, and where those of the index point, the CRCs are set.
void repair(std::vector<std::byte>& index) {
  if (index.size() < 48) return;
  store_le(index.data() + index.size() - 8, sstable_magic);
  const auto seal = [&](Bytes& handle) -> Bytes {
    const auto offset = take_varint(handle), size = take_varint(handle);
    if (!offset || !size || *offset > index.size() || *size > index.size() - *offset ||
        index.size() - *offset - *size < 5 + 48)
      return {};
    const auto block = Bytes(index).subspan(*offset, *size + 1);
    store_le(index.data() + *offset + *size + 1, masked_crc32c(block));
    return block;
  };
  Bytes footer = Bytes(index).last(48);
  seal(footer);
  const auto content = seal(footer);
  for (std::size_t i = 0; i + 2 < content.size();
       ++i)  // entries with whole keys: 0, length, length, key, handle
    if (content[i] == std::byte{0}) {
      Bytes entry = content.subspan(i + 1);
      const auto key = take_varint(entry), value = take_varint(entry);
      if (!key || !value || *key > entry.size() || *value > entry.size() - *key || *value < 2) continue;
      Bytes handle = entry.subspan(*key, *value);
      seal(handle);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto content = fuzz::bytes(data, size);
  fuzz::run([&] { snappy_decompress(content); });
  // The index ends at the magic number, or where the first two bytes say.
  std::size_t end = size;
  for (std::size_t i = 0; i + 8 <= size; ++i)
    if (load_le<std::uint64_t>(content.data() + i) == sstable_magic) {
      end = i + 8;
      break;
    }
  if (end == size && size > 2) end = (data[0] + 256u * data[1]) % size;
  std::vector<std::byte> index(content.begin(), content.begin() + static_cast<std::ptrdiff_t>(end));
  repair(index);
  const Bytes shards[] = {content.subspan(end), content.subspan(end)};
  for (const std::size_t count : {1, 2})
    fuzz::run([&] {
      const auto file = TfCheckpoint::parse(index, std::span(shards, count));
      std::size_t bytes = fuzz::check_tensors(file);
      for (const auto& name : file.strings())
        for (const auto string : file.strings(name)) bytes += string.size();
      fuzz::check(bytes <= count * shards[0].size());
    });
  return 0;
}
