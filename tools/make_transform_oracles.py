#!/usr/bin/env python3
"""Makes tests/data/dataset/transforms.npz, what NumPy and torchvision make of a small picture, and
tests/data/io/rgb422.jpg, a JPEG whose colour has half of the columns.

Needs numpy, pillow, torch and torchvision (v2 transforms). Run from the repository's root; the result is committed.
"""
import io
import pathlib

import numpy as np
import torch
from PIL import Image
from torchvision.transforms.v2 import functional

HEIGHT, WIDTH = 9, 8
picture = np.random.default_rng(46).random((3, HEIGHT, WIDTH), dtype=np.float32)
tensor = torch.from_numpy(picture)
arrays = {"picture": picture, "flip": functional.horizontal_flip(tensor).numpy()}
for dy, dx in [(0, 1), (0, -3), (2, 0), (-4, 0), (3, -2), (-1, 4), (8, 7), (-20, 20)]:
    pad = max(abs(dy), abs(dx))
    padded = np.pad(picture, ((0, 0), (pad, pad), (pad, pad)), mode="edge")
    arrays[f"shift {dy} {dx}"] = padded[:, pad + dy:pad + dy + HEIGHT, pad + dx:pad + dx + WIDTH]
for name, adjust in [("brightness", functional.adjust_brightness), ("contrast", functional.adjust_contrast),
                     ("saturation", functional.adjust_saturation)]:
    for factor in (0, 0.5, 0.8, 1, 1.3, 2):
        arrays[f"{name} {factor}"] = adjust(tensor, factor).numpy()
out = pathlib.Path("tests/data/dataset/transforms.npz")
out.parent.mkdir(parents=True, exist_ok=True)
np.savez_compressed(out, **arrays)

y, x, c = np.mgrid[0:16, 0:16, 0:3]
pixels = ((y * 11 + x * 7 + c * 40 + 60 * (x > 8)) % 256).astype(np.uint8)
buffer = io.BytesIO()
Image.fromarray(pixels).save(buffer, "JPEG", quality=92, subsampling=1)
pathlib.Path("tests/data/io/rgb422.jpg").write_bytes(buffer.getvalue())
