#!/usr/bin/env python3
"""Makes tests/data/io/checkpoint* and tests/data/models/tf_autoencoder*: checkpoints written by TensorFlow, and what it
reads and computes from them.

Needs tensorflow, numpy and cramjam (snappy). Run from the repository's root; the result is committed, so that the tests
need none of them. See tests/data/README.md.
"""

import os
import pathlib
import shutil
import struct
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import cramjam
import numpy as np
import tensorflow as tf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import philox
from golden import DATA, Golden
from make_model_oracles import SEED_IMAGES, autoencoder_layers, initial_value, torch_name


def small_checkpoint(out):
    """Tensors of every supported type, in two shards as two hosts would write them."""
    ramp = np.arange(6).reshape(2, 3)
    tensors = {
        "float": (ramp / 4).astype(np.float32),
        "double": (ramp - 0.1).astype(np.float64),
        "half": np.array([0.5, -2, 65504], np.float16),
        "bfloat16": tf.constant([1, -0.5, 3], tf.bfloat16),
        "int8": np.array([-128, 127], np.int8),
        "int16": np.array([-32768, 32767], np.int16),
        "int32": np.array([-(2**31), 2**31 - 1], np.int32),
        "int64": np.array([-(2**63), 2**63 - 1, 7], np.int64),
        "uint8": np.array([0, 255, 7], np.uint8),
        "uint16": np.array([65535], np.uint16),
        "uint32": np.array([2**32 - 1], np.uint32),
        "uint64": np.array([2**64 - 1], np.uint64),
        "bool": np.array([True, False, True]),
        "complex64": np.array([1 + 2j], np.complex64),
        "scalar": np.float32(2.5),
        "empty": np.zeros((3, 0), np.float32),
        "strings": np.array([b"", b"one", b"\xc3\xbc" * 100]),
        "layer/kernel/.ATTRIBUTES/VARIABLE_VALUE": np.arange(2 * 3 * 2 * 2, dtype=np.float32).reshape(2, 3, 2, 2),
    }
    names = sorted(tensors)
    with tempfile.TemporaryDirectory() as folder:
        parts = []
        for part in (names[::2], names[1::2]):
            parts.append(f"{folder}/part{len(parts)}")
            tf.raw_ops.SaveV2(prefix=parts[-1], tensor_names=part, shape_and_slices=[""] * len(part),
                              tensors=[tf.constant(tensors[name]) for name in part])
        tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=parts, destination_prefix=f"{folder}/checkpoint",
                                      delete_old_dirs=False)
        for file in pathlib.Path(folder).glob("checkpoint*"):
            shutil.copyfile(file, out / file.name)


def varint(n):
    out = b""
    while n >= 0x80:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def take_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


CRC_TABLE = []
for i in range(256):
    for _ in range(8):
        i = i >> 1 ^ (0x82F63B78 if i & 1 else 0)
    CRC_TABLE.append(i)


def masked_crc(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 255]
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def table_entries(table):
    """The pairs of an uncompressed table, read plainly."""

    def block(handle):
        offset, at = take_varint(handle, 0)
        size, _ = take_varint(handle, at)
        data = table[offset : offset + size]
        end = size - 4 - 4 * struct.unpack("<I", data[-4:])[0]
        at, key = 0, b""
        while at < end:
            shared, at = take_varint(data, at)
            fresh, at = take_varint(data, at)
            length, at = take_varint(data, at)
            key = key[:shared] + data[at : at + fresh]
            yield key, data[at + fresh : at + fresh + length]
            at += fresh + length

    footer = table[-48:]
    at = 0
    for _ in range(2):
        _, at = take_varint(footer, at)
    for _, handle in block(footer[at:]):
        yield from block(handle)


def write_table(entries, per_block):
    """A table of snappy blocks of `per_block` entries."""
    out = b""

    def block(pairs):
        nonlocal out
        data, before, restarts = b"", b"", []
        for i, (key, value) in enumerate(pairs):
            shared = len(os.path.commonprefix([key, before])) if i % 4 else 0
            if i % 4 == 0:
                restarts.append(len(data))
            data += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
            before = key
        data += b"".join(struct.pack("<I", r) for r in restarts or [0]) + struct.pack("<I", len(restarts or [0]))
        stored = bytes(cramjam.snappy.compress_raw(data))
        handle = varint(len(out)) + varint(len(stored))
        out += stored + b"\x01" + struct.pack("<I", masked_crc(stored + b"\x01"))
        return handle

    index = []
    for first in range(0, len(entries), per_block):
        part = entries[first : first + per_block]
        index.append((part[-1][0], block(part)))
    footer = block([])
    footer += block(index)
    return out + footer.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)


def snappy_checkpoint(out):
    """The same checkpoint, its index in compressed blocks; TensorFlow must read it as it reads the other."""
    index = write_table(list(table_entries((out / "checkpoint.index").read_bytes())), 7)
    (out / "checkpoint_snappy.index").write_bytes(index)
    with tempfile.TemporaryDirectory() as folder:
        for file in out.glob("checkpoint.data*"):
            shutil.copyfile(file, f"{folder}/{file.name}")
        (pathlib.Path(folder) / "checkpoint.index").write_bytes(index)
        ours, theirs = tf.train.load_checkpoint(f"{folder}/checkpoint"), tf.train.load_checkpoint(str(out / "checkpoint"))
        names = sorted(theirs.get_variable_to_shape_map())
        assert names == sorted(ours.get_variable_to_shape_map())
        for name in names:
            assert np.array_equal(ours.get_tensor(name), theirs.get_tensor(name)), name


def autoencoder(out):
    """The K-drama autoencoder with the weights that tests/models fills in by formula, saved as TensorFlow 2 saves Keras
    models: only the index is kept (the data follow from the formula), with the reconstruction of four images."""
    import keras

    body = list(autoencoder_layers())
    model = keras.Sequential([keras.Input((64, 64, 3)), *body])
    layers = [layer for layer in body if layer.weights]
    stream = 0
    names = {}
    for index, layer in enumerate(layers):
        for kind, weight in zip(("weight", "bias"), layer.weights):
            key, shape = f"{torch_name('autoencoder', index, layer.name)}.{kind}", tuple(weight.shape)
            if len(shape) == 4:
                value = initial_value(stream, key, (shape[3], shape[2], shape[0], shape[1])).transpose(2, 3, 1, 0)
            else:
                value = initial_value(stream, key, shape)
            weight.assign(value)
            kernel = "kernel" if kind == "weight" else "bias"
            names[f"layer_with_weights-{index}/{kernel}/.ATTRIBUTES/VARIABLE_VALUE"] = np.ascontiguousarray(value)
            stream += 1
    # Keras 2 named variables so, and kept Adam's slots beside them; one is enough to be skipped.
    names["layer_with_weights-0/bias/.OPTIMIZER_SLOT/optimizer/m/.ATTRIBUTES/VARIABLE_VALUE"] = np.zeros(32, np.float32)
    names["optimizer/iter/.ATTRIBUTES/VARIABLE_VALUE"] = np.int64(7)
    names["_CHECKPOINTABLE_OBJECT_GRAPH"] = np.array(b"graph")
    ordered = sorted(names)
    with tempfile.TemporaryDirectory() as folder:
        prefix = f"{folder}/tf_autoencoder"
        tf.raw_ops.SaveV2(prefix=prefix, tensor_names=ordered, shape_and_slices=[""] * len(ordered),
                          tensors=[tf.constant(names[name]) for name in ordered])
        shutil.copyfile(prefix + ".index", out / "tf_autoencoder.index")
    images = philox.uniform(SEED_IMAGES, 0, (4, 3, 16, 16))
    reconstruct = keras.Sequential([keras.Input((16, 16, 3)), *body])
    golden = Golden("models/tf_autoencoder.safetensors",
                    f"reconstruction of four 16x16 images by TensorFlow {tf.__version__}; "
                    "tools/make_tf_checkpoint_test_data.py")
    golden.put("reconstruction", reconstruct(images.transpose(0, 2, 3, 1)).numpy().transpose(0, 3, 1, 2))
    golden.write()


if __name__ == "__main__":
    small_checkpoint(DATA / "io")
    snappy_checkpoint(DATA / "io")
    autoencoder(DATA / "models")
