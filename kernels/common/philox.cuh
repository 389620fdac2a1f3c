// Philox4x32-10 (Salmon et al., SC 2011), bit for bit kfer's RandomStream, and the dropout mask on it.
//
// A mask is never stored: forward and backward draw the same numbers from (seed, stream, element).
#pragma once

#include "device.cuh"

KFER_KERNELS_BEGIN

struct PhiloxWords {
  unsigned w[4];
};

__host__ __device__ inline PhiloxWords philox(unsigned long long counter, unsigned long long stream,
                                              unsigned long long seed) {
  PhiloxWords c{{static_cast<unsigned>(counter), static_cast<unsigned>(counter >> 32),
                 static_cast<unsigned>(stream), static_cast<unsigned>(stream >> 32)}};
  unsigned k0 = static_cast<unsigned>(seed), k1 = static_cast<unsigned>(seed >> 32);
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const unsigned long long a = 0xD2511F53ull * c.w[0], b = 0xCD9E8D57ull * c.w[2];
    c = {{static_cast<unsigned>(b >> 32) ^ c.w[1] ^ k0, static_cast<unsigned>(b),
          static_cast<unsigned>(a >> 32) ^ c.w[3] ^ k1, static_cast<unsigned>(a)}};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}

/// Which elements dropout keeps: element i iff half-word i % 8 of counter i / 8 is at least `threshold`; what
/// is kept is scaled by `scale`. Elements count in channels-last order. `shift` (device memory, or null) is
/// added to the stream: a captured graph finds a fresh mask in every replay.
struct Dropout {
  unsigned long long seed, stream;
  const unsigned long long* shift;
  unsigned threshold;
  float scale;

  /// The eight decisions of elements [8 group, 8 group + 8), one bit each, lowest first.
  __device__ unsigned keeps8(unsigned long long group) const {
    const PhiloxWords words = philox(group, stream + (shift ? *shift : 0), seed);
    unsigned bits = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const unsigned half = i % 2 ? words.w[i / 2] >> 16 : words.w[i / 2] & 0xFFFF;
      bits |= (half >= threshold ? 1u : 0u) << i;
    }
    return bits;
  }
  __device__ bool keeps(unsigned long long i) const {
    return keeps8(i / 8) >> (i % 8) & 1;
  }
};

KFER_KERNELS_END
