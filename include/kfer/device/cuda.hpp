// The Cuda device: an NVIDIA GPU through the CUDA runtime.
//
// Everything here is plain C++ over the toolkit's headers, the same under g++ and nvcc, so a .cpp and a .cu
// of one program share it. Needs the toolkit's include path (the CMake target kfer::cuda).
//
// All work goes to one compute stream, in order; memory is reused in that order, without waiting for the
// device. Any thread may call anything here, except while another one captures a graph.
//
//   KFER_CUDA_DEVICE=1   the second GPU instead of the first
//   KFER_CUDA_CACHE=0    every allocation is the driver's, so that a memory checker sees it
//   KFER_CUDA_SYNC=1     waits for every launch and library call, so that the failing one is named
#pragma once

#include "kfer/device/cuda/device.hpp"
#include "kfer/device/cuda/graph.hpp"
