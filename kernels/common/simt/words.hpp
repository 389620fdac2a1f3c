// CUDA's words about functions and memory, for a compiler that has no use for them.
//
// CUDA's own headers define most of them as nothing under a host compiler, and leave alone what is defined
// already, so they may be included before or after. `__noinline__` is missing on purpose: the standard
// library spells an attribute so; write [[gnu::noinline]].
#pragma once

#undef __global__
#undef __device__
#undef __host__
#undef __constant__
#undef __managed__
#undef __shared__
#undef __grid_constant__
#undef __forceinline__
#undef __launch_bounds__
#undef __align__

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __managed__
#define __shared__ static  // one block runs at a time; KFER_SHARED checks more
#define __grid_constant__
#define __forceinline__ __inline__ __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
