// Every optimiser, learning-rate schedule and gradient clipping, with the backend of the device that this is
// compiled for (see kfer/ops/ops.hpp).
#pragma once

#include "kfer/optim/adam.hpp"
#include "kfer/optim/clip.hpp"
#include "kfer/optim/schedule.hpp"
#include "kfer/optim/sgd.hpp"

#if defined(__CUDACC__)
#include "kfer/optim/optim_cuda.hpp"
#else
#include "kfer/optim/adam_cpu.hpp"
#include "kfer/optim/clip_cpu.hpp"
#include "kfer/optim/sgd_cpu.hpp"
#endif
