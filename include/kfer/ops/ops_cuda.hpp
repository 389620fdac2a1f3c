// Every operation, with its GPU backend: for Cuda under a CUDA compiler, for Simt under any other.
#pragma once

#include "kfer/ops/dropout/dropout_cuda.hpp"
#include "kfer/ops/elementwise/accumulate_cuda.hpp"
#include "kfer/ops/elementwise/binary_cuda.hpp"
#include "kfer/ops/elementwise/unary_cuda.hpp"
#include "kfer/ops/reduce/reduce_cuda.hpp"
#include "kfer/ops/shape/shape_cuda.hpp"
