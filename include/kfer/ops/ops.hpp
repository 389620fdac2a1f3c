// Every operation, with its backend: for Cuda under a CUDA compiler, for the Cpu under any other. (CUDA
// compilers digest neither oneDNN's headers nor vector extensions; a program of both halves is a .cpp and a
// .cu.)
#pragma once

#if defined(__CUDACC__)
#include "kfer/ops/ops_cuda.hpp"
#else
#include "kfer/ops/batch_norm/batch_norm_cpu.hpp"
#include "kfer/ops/cast/cast_cpu.hpp"
#include "kfer/ops/conv2d/conv2d_cpu.hpp"
#include "kfer/ops/conv_transpose2d/conv_transpose2d_cpu.hpp"
#include "kfer/ops/dropout/dropout_cpu.hpp"
#include "kfer/ops/elementwise/binary_cpu.hpp"
#include "kfer/ops/elementwise/unary_cpu.hpp"
#include "kfer/ops/linear/linear_cpu.hpp"
#include "kfer/ops/loss/loss_cpu.hpp"
#include "kfer/ops/matmul/matmul_cpu.hpp"
#include "kfer/ops/pool/pool_cpu.hpp"
#include "kfer/ops/reduce/reduce_cpu.hpp"
#include "kfer/ops/shape/shape_cpu.hpp"
#include "kfer/ops/softmax/softmax_cpu.hpp"
#include "kfer/ops/temporal_shift/temporal_shift_cpu.hpp"
#include "kfer/ops/upsample/upsample_cpu.hpp"
#endif
