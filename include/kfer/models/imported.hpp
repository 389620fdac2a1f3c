// Weights of other programs in kfer's names and layouts: what every importer of models/ returns.
#pragma once

#include <string>
#include <vector>

#include "kfer/core/shape.hpp"

namespace kfer::models {

/// One tensor of a foreign file, converted, and where it came from: a line of an importer's report.
struct ImportedTensor {
  std::string name;  ///< kfer's, as in state_dict; empty: kfer's model has no place for it (`note` says why)
  std::string source;         ///< the tensor's name in the foreign file
  std::string note;           ///< how it was converted: "HWIO -> OIHW", ...
  Shape shape;                ///< kfer's
  std::vector<float> values;  ///< row-major in `shape`; empty if `name` is
};

}  // namespace kfer::models
