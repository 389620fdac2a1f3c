// The change of element type on a GPU.
#pragma once

#include "kfer/ops/cast/cast.hpp"
#include "kfer/tensor/create_cuda.hpp"
