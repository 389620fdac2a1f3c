// Synthetic faces in place of the photographs, for programs that were given none.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kdrama {

/// See kfer::data::write_synthetic_kdrama.
void write_synthetic(const std::string& data_path, std::int64_t images, std::uint64_t seed,
                     std::vector<std::string> sets = {"6_basic_emo", "22_emo", "multi-label"});

}  // namespace kdrama
