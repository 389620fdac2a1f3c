// Every optimiser and gradient clipping, with their GPU backends.
#pragma once

#include "kfer/optim/adam_cuda.hpp"
#include "kfer/optim/clip_cuda.hpp"
#include "kfer/optim/schedule.hpp"
#include "kfer/optim/sgd_cuda.hpp"
