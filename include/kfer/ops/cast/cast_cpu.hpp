// The change of element type on the Cpu.
#pragma once

#include "kfer/ops/cast/cast.hpp"
#include "kfer/tensor/relayout.hpp"
