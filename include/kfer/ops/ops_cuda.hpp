// Every operation, with its GPU backend: for Cuda under a CUDA compiler, for Simt under any other.
#pragma once

#include "kfer/ops/dropout/dropout_cuda.hpp"
#include "kfer/ops/elementwise/accumulate_cuda.hpp"
#include "kfer/ops/loss/loss_cuda.hpp"
#include "kfer/ops/softmax/softmax_cuda.hpp"
