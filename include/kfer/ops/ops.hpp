// Every operation, with its Cpu backend.
#pragma once

#include "kfer/ops/batch_norm/batch_norm_cpu.hpp"
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
