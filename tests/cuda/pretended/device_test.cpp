// The tests of the Cuda device, unchanged, on the pretended runtime.
#include "cuda/pretended/runtime.hpp"

#include "cuda/device_test.cu"
