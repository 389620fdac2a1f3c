// The entry of the operations' tests on a GPU. These compare with definitions in double, and run with run: so
// products of float are made in float, not in TF32, and by engines that repeat themselves.
#include "cuda/gpu_main.hpp"

[[maybe_unused]] static const bool exact =
    (math_of_tests = {.strict_fp32 = true, .deterministic = true}, true);
