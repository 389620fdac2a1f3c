// How exact and how repeatable the arithmetic of a GPU's libraries must be.
#pragma once

namespace kfer {

struct MathOptions {
  bool strict_fp32 = false;    ///< float products in full float32, never TF32
  bool deterministic = false;  ///< only algorithms that give the same bits in every run
};

}  // namespace kfer
