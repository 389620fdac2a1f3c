#!/usr/bin/env python3
"""Makes tests/data/io: small files written by the packages whose formats kfer reads.

Needs tensorflow, numpy, safetensors and pillow. Run from the repository's root; the result is committed, so that the
tests need none of them. Values follow formulas that the tests repeat.
"""
import io
import pathlib
import zlib

import numpy as np
import safetensors.numpy
import tensorflow as tf
from PIL import Image

out = pathlib.Path("tests/data/io")
out.mkdir(parents=True, exist_ok=True)


def ramp(height, width, channels):
    """A smooth picture with an edge: pixel (y, x, c)."""
    y, x, c = np.mgrid[0:height, 0:width, 0:channels]
    return ((y * 11 + x * 7 + c * 40 + 60 * (x > width // 2)) % 256).astype(np.uint8)


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


# Images, and what Pillow decodes them to.
rgb = Image.fromarray(ramp(13, 17, 3))
rgba = Image.fromarray(ramp(13, 17, 4))
gray = Image.fromarray(ramp(13, 17, 1)[:, :, 0])
deep = Image.fromarray(ramp(13, 17, 1)[:, :, 0].astype(np.uint16) * 257)
images = {
    "rgb.png": encoded(rgb, "PNG"),
    "rgba.png": encoded(rgba, "PNG"),
    "gray.png": encoded(gray, "PNG"),
    "gray16.png": encoded(deep, "PNG"),
    "palette.png": encoded(rgb.quantize(16), "PNG"),
    "rgb.jpg": encoded(rgb, "JPEG", quality=92, subsampling=0),
    "rgb420.jpg": encoded(rgb, "JPEG", quality=92, subsampling=2),
    "progressive.jpg": encoded(rgb, "JPEG", quality=92, subsampling=0, progressive=True),
    "restart.jpg": encoded(rgb, "JPEG", quality=92, subsampling=0, restart_marker_blocks=2),
    "gray.jpg": encoded(gray, "JPEG", quality=92),
}
expected = {}
for name, data in images.items():
    (out / name).write_bytes(data)
    image = Image.open(io.BytesIO(data))
    if name == "gray16.png":
        image = gray
    if image.mode == "RGBA":  # alpha is dropped, not blended
        image = Image.fromarray(np.asarray(image)[:, :, :3])
    expected[name] = np.asarray(image.convert("RGB"))
np.savez_compressed(out / "images_expected.npz", **expected)

# TFRecord with tf.train.Example, as the K-drama files have them, and corner cases.
def feature(values):
    if isinstance(values[0], bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
    if isinstance(values[0], float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


with tf.io.TFRecordWriter(str(out / "examples.tfrecords")) as writer:
    for i, name in enumerate(["rgb.png", "rgb.jpg", "gray.png"]):
        features = {
            "height": feature([13]),
            "width": feature([17]),
            "depth": feature([3]),
            "label": feature([int(k == i or k == 5) for k in range(6)]),
            "image_raw": feature([images[name]]),
        }
        writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True))
    features = {
        "negative": feature([-1, -(2**63), 2**63 - 1, 0, 300]),
        "floats": feature([1.5, -0.0, float("inf"), 1e-45]),
        "names": feature([b"", b"a", bytes(range(256))]),
        "empty": tf.train.Feature(int64_list=tf.train.Int64List()),
        "nothing": tf.train.Feature(),
    }
    writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True))
    writer.write(b"")

# TensorBoard events with fixed times.
with tf.io.TFRecordWriter(str(out / "events.tfrecords")) as writer:
    writer.write(tf.compat.v1.Event(wall_time=1234.5, file_version="brain.Event:2").SerializeToString())
    for step, tag, value in [(0, "loss/train", 2.5), (1, "loss/train", 1.25), (300, "accuracy", -0.0)]:
        item = tf.compat.v1.Summary.Value(tag=tag, simple_value=value)
        event = tf.compat.v1.Event(wall_time=1234.5 + step, step=step, summary=tf.compat.v1.Summary(value=[item]))
        writer.write(event.SerializeToString())

# NumPy.
arrays = {
    "f4": np.arange(6, dtype="<f4").reshape(2, 3) / 4,
    "f8": np.array([1e300, -2.5, np.pi]),
    "i4": np.arange(-3, 3, dtype="<i4").reshape(3, 1, 2),
    "i8": np.array(-(2**62), dtype="<i8"),
    "u1": (np.arange(5000) % 251).astype(np.uint8),
    "none": np.zeros((0, 4), dtype="<f4"),
}
np.savez(out / "stored.npz", **{k: v for k, v in arrays.items() if k != "u1"})
np.savez_compressed(out / "deflated.npz", **arrays)
for version in (1, 2, 3):
    with open(out / f"version{version}.npy", "wb") as file:
        np.lib.format.write_array(file, arrays["f4"], version=(version, 0))
np.save(out / "fortran.npy", np.asfortranarray(arrays["f4"]))
np.save(out / "half.npy", arrays["f4"].astype("<f2"))
np.save(out / "big_endian.npy", arrays["f4"].astype(">f4"))
np.save(out / "structured.npy", np.zeros(2, dtype=[("a", "<f4"), ("b", "<i4")]))

# Raw deflate streams of every kind of block; text(n) is what the tests expect.
text = b"".join(b"%d squared is %d. " % (n, n * n) for n in range(400))
streams = {}
for name, level, strategy in [("stored", 0, 0), ("level1", 1, 0), ("level9", 9, 0), ("fixed", 9, zlib.Z_FIXED),
                              ("huffman", 9, zlib.Z_HUFFMAN_ONLY), ("rle", 9, zlib.Z_RLE)]:
    stream = zlib.compressobj(level, zlib.DEFLATED, -15, 9, strategy)
    streams[name] = np.frombuffer(stream.compress(text) + stream.flush(), dtype=np.uint8)
np.savez(out / "deflate.npz", **streams)

# safetensors.
safetensors.numpy.save_file(
    {
        "layer1.0.conv1.weight": arrays["f4"],
        "scalar": np.array(2.5, dtype="<f8"),
        "steps": np.array([1, -(2**62)], dtype="<i8"),
        "half": np.array([1.0, -2.0, 65504.0], dtype="<f2"),
        "bytes": np.array([0, 255, 7], dtype="u1"),
        "empty": np.zeros((3, 0), dtype="<f4"),
        "mask": np.array([True, False]),
    },
    out / "model.safetensors",
    metadata={"format": "pt", "note": 'quotes " and \u00fc'},
)
