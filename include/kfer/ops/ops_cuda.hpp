// Every operation, with its GPU backend: for Cuda under a CUDA compiler, for Simt under any other.
#pragma once

#include "kfer/ops/conv2d/conv2d_cuda.hpp"
#include "kfer/ops/conv_transpose2d/conv_transpose2d_cuda.hpp"
#include "kfer/ops/dropout/dropout_cuda.hpp"
#include "kfer/ops/batch_norm/batch_norm_cuda.hpp"
#include "kfer/ops/elementwise/accumulate_cuda.hpp"
#include "kfer/ops/loss/loss_cuda.hpp"
#include "kfer/ops/linear/linear_cuda.hpp"
#include "kfer/ops/matmul/matmul_cuda.hpp"
#include "kfer/ops/softmax/softmax_cuda.hpp"
#include "kfer/ops/elementwise/binary_cuda.hpp"
#include "kfer/ops/elementwise/unary_cuda.hpp"
#include "kfer/ops/reduce/reduce_cuda.hpp"
#include "kfer/ops/shape/shape_cuda.hpp"
#include "kfer/ops/pool/pool_cuda.hpp"
