// Every optimiser, learning-rate schedule and gradient clipping.
#pragma once

#include "kfer/optim/adam.hpp"
#include "kfer/optim/adam_cpu.hpp"
#include "kfer/optim/clip.hpp"
#include "kfer/optim/clip_cpu.hpp"
#include "kfer/optim/schedule.hpp"
#include "kfer/optim/sgd.hpp"
#include "kfer/optim/sgd_cpu.hpp"
