"""Philox4x32-10, the counter-based random generator of kfer, in NumPy.

J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

A stream is named by (seed, stream), both 64-bit: the key is (seed lo, seed hi) and the counter is (index lo,
index hi, stream lo, stream hi), so that any element of any stream can be had by itself, in any order, on any
device. What the rest of kfer draws from the words of a stream is defined here once:

- uniform float i is word (i % 4) of counter i / 4: (word >> 8) * 2^-24, in [0, 1);
- dropout element i, counted in channels-last order, uses half-word (i % 8) of counter i / 8, where half-word
  2k is the low and 2k + 1 the high half of word k; it is kept if the half-word is at least round(p * 65536).

    python3 tools/philox.py          checks the published test vectors
    python3 tools/philox.py write    and makes tests/data/ops/philox.safetensors: words, uniforms, dropout masks
"""

import sys

import numpy as np

ROUNDS = 10
MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
WEYL = (0x9E3779B9, 0xBB67AE85)
LOW = np.uint64(0xFFFFFFFF)
SHIFT = np.uint64(32)


def philox4x32(counter, key):
    """counter: four arrays (or numbers) of 32-bit words, key: two numbers. Returns uint32 of shape [n, 4]."""
    c = [np.atleast_1d(np.asarray(word, dtype=np.uint64)) for word in counter]
    k = [int(word) for word in key]
    for _ in range(ROUNDS):
        product0, product1 = MULTIPLIERS[0] * c[0], MULTIPLIERS[1] * c[2]
        c = [
            (product1 >> SHIFT) ^ c[1] ^ np.uint64(k[0]),
            product1 & LOW,
            (product0 >> SHIFT) ^ c[3] ^ np.uint64(k[1]),
            product0 & LOW,
        ]
        k = [(word + weyl) & 0xFFFFFFFF for word, weyl in zip(k, WEYL)]
    return np.stack(np.broadcast_arrays(*c), axis=-1).astype(np.uint32)


def words(seed, stream, count, first=0):
    """The words of counters first .. first + count - 1 of a stream: uint32 [count, 4]."""
    index = np.arange(first, first + count, dtype=np.uint64)
    counter = (index & LOW, index >> SHIFT, stream & 0xFFFFFFFF, stream >> 32)
    return philox4x32(counter, (seed & 0xFFFFFFFF, seed >> 32))


def uniform(seed, stream, shape):
    """Uniform floats in [0, 1), float32, elements in row-major order of the shape."""
    n = int(np.prod(shape))
    w = words(seed, stream, (n + 3) // 4).reshape(-1)[:n]
    return ((w >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)).reshape(shape)


def dropout_keep(seed, stream, shape, p):
    """Boolean keep mask of a dropout over a tensor of this logical shape: (N, C, H, W), drawn in (N, H, W, C)
    order, or any other rank, drawn in row-major order."""
    n = int(np.prod(shape))
    w = words(seed, stream, (n + 7) // 8).astype("<u4").reshape(-1).view("<u2")[:n]
    keep = w >= int(round(p * 65536))
    if len(shape) == 4:
        batch, channels, height, width = shape
        return keep.reshape(batch, height, width, channels).transpose(0, 3, 1, 2)
    return keep.reshape(shape)


# (counter, key, result), from the paper's known-answer tests (file kat_vectors of its Random123 library).
TEST_VECTORS = (
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
)


def check():
    for counter, key, expected in TEST_VECTORS:
        got = tuple(int(word) for word in philox4x32(counter, key)[0])
        if got != expected:
            raise SystemExit(f"philox4x32{counter} key {key}: expected {expected}, got {got}")
    seed, stream = 0x0123456789ABCDEF, 0xFEDCBA9876543210
    one = philox4x32((5, 0, 0x76543210, 0xFEDCBA98), (0x89ABCDEF, 0x01234567))
    if not np.array_equal(words(seed, stream, 6)[5], one[0]):
        raise SystemExit("words() does not split seed and stream as documented")


def write():
    from golden import Golden

    golden = Golden(
        "ops/philox.safetensors", "Philox4x32-10: op = words | uniform | dropout_keep (NCHW, drawn in NHWC)"
    )
    for counter, key, result in TEST_VECTORS:
        golden.case(
            dict(op="philox4x32"), counter=np.array(counter), key=np.array(key), words=np.array(result)
        )
    for seed, stream, first in [
        (0, 0, 0),
        (46, 3, 0),
        (2**64 - 1, 2**63 + 5, 7),
        (1000, 19, 2**32 - 2),
        (1, 2**32, 2**40),
    ]:
        golden.case(
            dict(op="words", seed=seed, stream=stream, first=first), words=words(seed, stream, 4, first)
        )
    for seed, stream, shape in [(46, 0, (2, 3, 5)), (1000, 1, (17,)), (2000, 2**33 + 1, (1,))]:
        golden.case(dict(op="uniform", seed=seed, stream=stream), y=uniform(seed, stream, shape))
    for seed, stream, shape, p in [
        (3000, 0, (2, 3, 5, 7), 0.5),
        (3000, 17, (5, 24), 0.5),
        (3000, 2, (1, 17, 3, 3), 0.2),
        (2**40, 2**40, (3, 8, 2, 2), 0.9),
        (1, 1, (4, 5), 0.0),
        (1, 1, (4, 5), 1.0),
    ]:
        golden.case(
            dict(op="dropout_keep", seed=seed, stream=stream, p=p), keep=dropout_keep(seed, stream, shape, p)
        )
    golden.write()


if __name__ == "__main__":
    check()
    if sys.argv[1:] == ["write"]:
        write()
    print("philox4x32-10: all test vectors agree")
