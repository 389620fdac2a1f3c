// The entry of the operations' tests on a GPU.
#include "cuda/gpu_main.hpp"
