// Every operation, with its GPU backend: for Cuda under a CUDA compiler, for Simt under any other.
#pragma once

#include "kfer/ops/batch_norm/batch_norm_cuda.hpp"
#include "kfer/ops/elementwise/accumulate_cuda.hpp"
#include "kfer/ops/pool/pool_cuda.hpp"
#include "kfer/ops/temporal_shift/temporal_shift_cuda.hpp"
#include "kfer/ops/upsample/upsample_cuda.hpp"
