// Every layer, and what works on any module.
#pragma once

#include "kfer/nn/activation.hpp"
#include "kfer/nn/batch_norm.hpp"
#include "kfer/nn/conv2d.hpp"
#include "kfer/nn/conv_batch_norm.hpp"
#include "kfer/nn/conv_transpose2d.hpp"
#include "kfer/nn/dropout.hpp"
#include "kfer/nn/init.hpp"
#include "kfer/nn/linear.hpp"
#include "kfer/nn/module.hpp"
#include "kfer/nn/observe.hpp"
#include "kfer/nn/pool.hpp"
#include "kfer/nn/sequential.hpp"
#include "kfer/nn/state_dict.hpp"
#include "kfer/nn/summary.hpp"
#include "kfer/nn/upsample.hpp"
