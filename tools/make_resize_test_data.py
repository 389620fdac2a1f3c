#!/usr/bin/env python3
"""Makes resize.npz, exif.npz and turned.jpg in tests/data/io: what Pillow and torchvision make of images of other sizes, and photographs
of all Exif orientations.

Needs numpy, pillow, torch and torchvision. Run from the repository's root; the result is committed, so that the tests
need none of them. The picture that is resized follows a formula that the test repeats.
"""
import io
import pathlib

import numpy as np
import torch
from PIL import Image, ImageOps
from torchvision.transforms.v2 import InterpolationMode, functional

out = pathlib.Path("tests/data/io")


def picture(height, width):
    """Waves and noise: pixel (y, x, c)."""
    y, x, c = np.mgrid[0:height, 0:width, 0:3]
    return ((y * y * 3 + x * 7 + c * 40 + (x * y) % 17 * 9) % 256).astype(np.uint8)


# Keys: height x width of the picture, of the result.
arrays = {}
for height, width, to_height, to_width in [
    (29, 37, 64, 64), (29, 37, 7, 5), (29, 37, 29, 10), (29, 37, 64, 37), (29, 37, 1, 1), (29, 37, 3, 97), (1, 1, 4, 5),
    (2, 300, 16, 16), (120, 160, 64, 64), (65, 63, 64, 64),
]:
    name = f"{height}x{width}_{to_height}x{to_width}"
    image = Image.fromarray(picture(height, width))
    at_once = image.resize((to_width, to_height), Image.Resampling.BILINEAR)
    # Rows, then columns: what at_once is before Pillow 13, which begins with the columns where the height shrinks far
    # more than the width.
    rows_first = image.resize((to_width, height), Image.Resampling.BILINEAR).resize(at_once.size, Image.Resampling.BILINEAR)
    arrays[f"pillow/{name}"] = np.asarray(rows_first)
    assert np.abs(np.asarray(at_once).astype(int) - np.asarray(rows_first)).max() <= 1
    if to_height * to_width <= 300:  # float: nothing is rounded between the passes
        tensor = torch.from_numpy(picture(height, width)).permute(2, 0, 1).to(torch.float64)
        resized = functional.resize(tensor, [to_height, to_width], InterpolationMode.BILINEAR, antialias=True)
        arrays[f"torchvision/{name}"] = resized.permute(1, 2, 0).to(torch.float32).numpy().copy()
np.savez_compressed(out / "resize.npz", **arrays)

# Files of every orientation, in both byte orders, with another tag before and after; what they show upright.
ramp = np.mgrid[0:12, 0:20].transpose(1, 2, 0) @ np.array([[9, 2, 5], [3, 11, 5]])
photograph = Image.fromarray((40 + ramp % 256).clip(0, 255).astype(np.uint8))
arrays = {}
for orientation in range(1, 9):
    exif = Image.Exif()
    exif.endian = "<" if orientation % 2 else ">"
    exif[0x010F] = "kfer"  # Make
    exif[0x0112] = orientation
    exif[0x011A] = 72.0  # XResolution
    buffer = io.BytesIO()
    photograph.save(buffer, "JPEG", quality=95, subsampling=0, exif=exif.tobytes())
    arrays[f"file/{orientation}"] = np.frombuffer(buffer.getvalue(), dtype=np.uint8)
    if orientation == 6:
        (out / "turned.jpg").write_bytes(buffer.getvalue())
    arrays[f"upright/{orientation}"] = np.asarray(ImageOps.exif_transpose(Image.open(buffer)))
np.savez_compressed(out / "exif.npz", **arrays)
