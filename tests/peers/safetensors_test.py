#!/usr/bin/env python3
"""What kfer saves, checksum and all, is read by the safetensors package; what that package makes of it, by kfer.

usage: safetensors_test.py BUILD-DIRECTORY
"""

import os
import subprocess
import sys
import tempfile

try:
    import numpy
    from safetensors import safe_open
    from safetensors.numpy import load_file, save_file
except ImportError as missing:
    print(f"not installed: {missing.name}")
    sys.exit(77)

TRAIN = os.path.join(sys.argv[1], "tests", "programs", "tiny_training")
if not os.path.exists(TRAIN):
    print("not built: tests/programs/tiny_training")
    sys.exit(77)


def train(directory, epochs):
    return subprocess.run([TRAIN, "--directory", directory, "--epochs", str(epochs)], capture_output=True, text=True)


with tempfile.TemporaryDirectory() as folder:
    run = os.path.join(folder, "run")
    assert train(run, 1).returncode == 0
    weights = os.path.join(run, "weights", "last.safetensors")
    state = os.path.join(run, "state.safetensors")

    with safe_open(weights, framework="numpy") as file:
        metadata = file.metadata()
    assert metadata["model"] == "augmented" and metadata["writer"] == "kfer" and len(metadata["kfer.crc32c"]) == 8, metadata
    tensors, saved = load_file(weights), load_file(state)
    assert tensors["conv.weight"].shape == (8, 3, 3, 3) and tensors["fc.weight"].dtype == numpy.float32
    for name, value in tensors.items():
        assert numpy.isfinite(value).all(), name
        assert numpy.array_equal(value, saved["model/" + name]), name
    assert saved["trainer/steps"] == 5

    # The state as another writer would put it: not taken for kfer's, with the metadata of the checksum or without.
    with safe_open(state, framework="numpy") as file:
        metadata = file.metadata()
    for kept, says in ((metadata, "rewritten"), ({"kfer": metadata["kfer"]}, "no checksum")):
        save_file(saved, state, metadata=kept)
        refused = train(run, 2)
        assert refused.returncode == 2 and says in refused.stderr and "state.safetensors" in refused.stderr, refused.stderr
print("weights and state read by the safetensors package")
