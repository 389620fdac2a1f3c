#!/usr/bin/env python3
"""Weights made by PyTorch, predicted by predict_images and by PyTorch itself, on images that Pillow reads and resizes.

usage: predict_images_test.py BUILD-DIRECTORY
"""

import csv
import io
import os
import pathlib
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import torch
    from PIL import Image, ImageOps
except ImportError as missing:
    print(f"skipped: {missing.name} is not installed")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import kdrama_torch  # noqa: E402

PROGRAM = os.path.join(sys.argv[1], "examples", "predict_images")


def pictures(folder):
    """PNG files of several sizes, modes and shapes; JPEG files turned by an Exif note. Their paths."""
    chance = np.random.default_rng(46)
    paths = []
    for i, (width, height, mode) in enumerate([(64, 64, "RGB"), (640, 480, "RGB"), (31, 200, "RGB"), (97, 50, "L"), (128, 96, "P")]):
        coarse = Image.fromarray(chance.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        picture = coarse.resize((width, height), Image.Resampling.BICUBIC).convert(mode)
        paths.append(folder / f"{i}.png")
        picture.save(paths[-1])
    for orientation in (3, 6, 8):
        coarse = Image.fromarray(chance.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        exif = Image.Exif()
        exif[0x0112] = orientation
        paths.append(folder / f"turned{orientation}.jpg")
        coarse.resize((120, 80), Image.Resampling.BICUBIC).save(paths[-1], quality=98, subsampling=0, exif=exif)
    return paths


def prepared(path):
    """RGB / 255, [3, 64, 64]; rows are resized first (Pillow 13 would sometimes begin with the columns)."""
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    image = image.resize((64, image.height), Image.Resampling.BILINEAR).resize((64, 64), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).to(torch.float32) / 255


def main():
    torch.manual_seed(46)
    keep = lambda layer, x: x  # noqa: E731: no dropout
    cases = [
        ("autoencoder_classifier", kdrama_torch.AutoencoderClassifier(24), ["--task", "multi-label"]),
        ("conv_net", kdrama_torch.ConvNet(6, 3), ["--task", "6_basic_emo"]),
        ("resnet50_classifier", kdrama_torch.ResNet50(22), ["--task", "22_emo", "--image-size", "64"]),
    ]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        paths = pictures(folder)
        images = torch.stack([prepared(path) for path in paths])
        for name, model, flags in cases:
            with torch.no_grad():
                for module in model.modules():
                    if name != "resnet50_classifier" and isinstance(module, (torch.nn.Conv2d, torch.nn.ConvTranspose2d)):
                        module.weight *= 2.4  # torch's default lets a ReLU network's activations fade
                    if isinstance(module, torch.nn.BatchNorm2d):
                        module.momentum = 0.5
                if name == "resnet50_classifier":  # running statistics of something
                    model.train()
                    for _ in range(4):
                        model(images, keep)
                # A last layer that tells the images apart: logits of mean 0 and deviation 2 over the images.
                logits, head = model.eval()(images, keep), model.fc if name == "conv_net" else model.fc2
                factor = 2 / logits.std(0).clamp_min(1e-12)
                head.weight *= factor[:, None]
                head.bias.copy_((head.bias - logits.mean(0)) * factor)
                logits = model(images, keep)
                model.double()
                exact = model(images.double(), keep)
                model.float()
            expected = (exact.sigmoid() if "multi-label" in flags else exact.softmax(1)).numpy()
            weights = folder / f"{name}.safetensors"
            kdrama_torch.save_weights(model, weights)
            result = subprocess.run([PROGRAM, "--weights", weights, "--format", "csv", *flags, *paths],
                                    capture_output=True, text=True, check=False)
            assert result.returncode == 0, result.stderr
            rows = list(csv.reader(io.StringIO(result.stdout)))[1:]
            assert [row[0] for row in rows] == [str(path) for path in paths]
            found = np.array([[float(cell) for cell in row[1:-1]] for row in rows])
            assert found.shape == expected.shape, (found.shape, expected.shape)
            spread = np.ptp(expected, axis=0).max()
            png, jpeg = np.abs(found - expected)[:5].max(), np.abs(found - expected)[5:].max()
            rounding = (exact - logits).abs().max().item()
            print(f"{name}: differs by {png:.1e} (PNG), {jpeg:.1e} (JPEG: another decoder) of a spread of {spread:.2f}; "
                  f"logits of PyTorch in float32 by {rounding:.1e} from float64")
            assert spread > 0.3, "the images are hardly told apart: this proves nothing"
            assert png < 1e-5 + rounding, png
            assert jpeg < 0.1 * spread, jpeg


main()
