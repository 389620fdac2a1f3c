#include "kdrama/synthetic.hpp"

#include "kfer/data/kdrama_writer.hpp"

namespace kdrama {

void write_synthetic(const std::string& data_path, std::int64_t images, std::uint64_t seed,
                     std::vector<std::string> sets) {
  kfer::data::write_synthetic_kdrama(data_path, {.images = images, .seed = seed, .sets = std::move(sets)});
}

}  // namespace kdrama
