// Every optimiser, gradient clipping and the guard of captured steps, with their GPU backends.
#pragma once

#include "kfer/optim/adam_cuda.hpp"
#include "kfer/optim/clip_cuda.hpp"
#include "kfer/optim/schedule.hpp"
#include "kfer/optim/sgd_cuda.hpp"
#include "kfer/optim/step_guard_cuda.hpp"
