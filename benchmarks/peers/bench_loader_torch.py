"""The work of benchmarks/data/loader.cpp, done by PyTorch's DataLoader and torchvision on the CPU.

    python3 benchmarks/peers/bench_loader_torch.py DATA_PATH [--only jpeg/plain] [--epochs 5] [--workers 2] [--serve]

An epoch of the train split of DATA_PATH, shuffled: encoded image -> floats / 255 in batches of 64, channels first;
`augmented` also mirrors, shifts, colours and erases, each image by its own random numbers; `cached` keeps decoded
images (bytes) in memory. PyTorch is given its best, of what was tried:

- the file lies in memory and where its images lie is found before the clock starts: records are neither read,
  checked nor parsed in an epoch, as the other two programs must;
- a batch is one index of the data set (__getitems__), decoded by torchvision.io (libjpeg-turbo, libpng; faster than
  Pillow), in worker processes that persist and run eight batches ahead;
- workers hand over bytes, a quarter of the floats, and the main process makes them floats: faster than handing over
  floats; cached images are gathered in the main process, so that no batch crosses between processes;
- the main process computes with one thread: its batches are small, and beside the workers a second one waits more
  than it works;
- augmentation is vectorised over the batch (torchvision's v2 transforms would change a whole batch alike, or go image
  by image): mirroring and shifting together are one gather of bytes, the rest is one function compiled by
  torch.compile.

Prints one JSON object a line; with --serve one for each line of standard input, which names a bench.
"""

import argparse
import json
import os
import statistics
import struct
import sys
import time

import numpy
import torch
from torch.utils.data import DataLoader, Dataset
from torchvision.io import decode_jpeg, decode_png

BATCH, SIZE = 64, 64
PADDING, STRENGTH, ERASE = 4, 0.2, 0.25


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def fields(data, at, end):
    """(number, begin, end) of the length-delimited fields of a protocol buffer message."""
    while at < end:
        tag, at = varint(data, at)
        size, at = varint(data, at)
        if tag & 7 == 2:
            yield tag >> 3, at, at + size
            at += size


class Records(Dataset):
    """Batches of rows of a TFRecord file of tf.train.Examples."""

    def __init__(self, path, cached):
        data = open(path, "rb").read()
        self.where, labels, at = [], [], 0
        while at < len(data):
            (size,) = struct.unpack_from("<Q", data, at)
            for _, begin, end in fields(data, at + 12, at + 12 + size):
                for _, b, e in fields(data, begin, end):
                    (_, kb, ke), (_, vb, ve) = fields(data, b, e)
                    if data[kb:ke] in (b"image_raw", b"label"):
                        _, b, e = next(fields(data, vb, ve))
                        _, b, e = next(fields(data, b, e))
                        if data[kb:ke] == b"label":
                            labels.append(list(data[b:e]))
                        else:
                            self.where.append((b, e))
            at += size + 16
        self.labels = torch.tensor(labels, dtype=torch.float32)
        self.data = torch.from_numpy(numpy.frombuffer(bytearray(data), numpy.uint8))
        self.png = bytes(data[self.where[0][0]:self.where[0][0] + 4]) == b"\x89PNG"
        self.images = None
        if cached:
            self.images = torch.cat([self.decode(range(i, min(i + BATCH, len(self))))
                                     for i in range(0, len(self), BATCH)])

    def __len__(self):
        return len(self.where)

    def decode(self, rows):
        one = decode_png if self.png else decode_jpeg
        return torch.stack([one(self.data[b:e]) for b, e in (self.where[row] for row in rows)])

    def __getitems__(self, rows):
        images = self.decode(rows) if self.images is None else self.images[torch.tensor(rows)]
        return images, self.labels[rows]


def place(images):
    """Mirrors and shifts bytes [n, 3, 64, 64]: one gather."""
    n = len(images)
    at = torch.arange(SIZE)
    columns = torch.where(torch.rand(n, 1) < 0.5, SIZE - 1 - at, at)
    columns = (columns + torch.randint(-PADDING, PADDING + 1, (n, 1))).clamp_(0, SIZE - 1)
    rows = (at + torch.randint(-PADDING, PADDING + 1, (n, 1))).clamp_(0, SIZE - 1)
    at = (rows[:, :, None] * SIZE + columns[:, None, :]).view(n, 1, -1).expand(n, 3, SIZE * SIZE)
    return images.view(n, 3, -1).gather(2, at).view(n, 3, SIZE, SIZE)


def scale(images):
    return images.float().div_(255)


def colour_and_erase(images, draws):
    """Bytes to floats, coloured and erased; `draws` [8, n] are uniform in [0, 1)."""
    x = images.float() / 255
    b, c, s = (1 + STRENGTH * (2 * draws[:3] - 1))[:, :, None, None, None]
    grey = 0.299 * x[:, 0:1] + 0.587 * x[:, 1:2] + 0.114 * x[:, 2:3]
    mean = grey.mean((1, 2, 3), keepdim=True)
    x = (b * c * s * x + (b * c * (1 - s) * grey + b * (1 - c) * mean)).clamp(0, 1)
    area = (0.02 + 0.18 * draws[3]) * (SIZE * SIZE)
    aspect = torch.exp(2.4 * draws[4] - 1.2)
    height, width = [v.round().clamp(1, SIZE) for v in (torch.sqrt(area * aspect), torch.sqrt(area / aspect))]
    top, left = torch.floor(draws[5] * (SIZE - height + 1)), torch.floor(draws[6] * (SIZE - width + 1))
    at = torch.arange(SIZE)
    inside_y = (at >= top[:, None]) & (at < (top + height)[:, None]) & (draws[7] < ERASE)[:, None]
    inside_x = (at >= left[:, None]) & (at < (left + width)[:, None])
    return torch.where((inside_y[:, :, None] & inside_x[:, None, :])[:, None], 0.5, x)


class Bench:
    def __init__(self, path, name, workers, compiled):
        self.augmented, cached = name.split("/")[1] == "augmented", name.endswith("/cached")
        data = Records(path, cached)
        workers = 0 if cached else workers
        self.loader = DataLoader(data, batch_size=BATCH, shuffle=True, drop_last=True, num_workers=workers,
                                 collate_fn=self.place_batch if self.augmented else self.as_is,
                                 persistent_workers=workers > 0, prefetch_factor=8 if workers else None)
        self.paint = torch.compile(colour_and_erase) if compiled else colour_and_erase

    @staticmethod
    def as_is(batch):
        return batch

    @staticmethod
    def place_batch(batch):
        return place(batch[0]), batch[1]

    def epoch(self):
        """Images and milliseconds."""
        begin, images = time.perf_counter(), 0
        with torch.no_grad():
            for x, _ in self.loader:
                x = self.paint(x, torch.rand(8, BATCH)) if self.augmented else scale(x)
                images += len(x)
        return images, 1e3 * (time.perf_counter() - begin)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_path")
    parser.add_argument("--only", default="", help="benches whose name contains this")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="of the main process")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--serve", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    path = os.path.join(options.data_path, "tfrecords", "multi-label_train.tfrecords")

    def make(name):
        bench = Bench(path, name, options.workers, not options.no_compile)
        bench.epoch()
        return bench

    if options.serve:
        benches = {}
        for line in sys.stdin:
            name = line.strip()
            if name not in benches:
                benches[name] = make(name)
            images, ms = benches[name].epoch()
            print(json.dumps({"bench": name, "images": images, "ms": ms}), flush=True)
        return
    codec = "png" if open(path, "rb").read(4096).find(b"\x89PNG") >= 0 else "jpeg"
    for name in [f"{codec}/{work}/{kind}" for kind in ("uncached", "cached") for work in ("plain", "augmented")]:
        if options.only not in name:
            continue
        bench = make(name)
        runs = [bench.epoch() for _ in range(options.epochs)]
        times = [ms for _, ms in runs]
        print(json.dumps({"bench": name, "median_ms": statistics.median(times), "min_ms": min(times),
                          "images_per_s": round(1e3 * runs[0][0] / statistics.median(times))}), flush=True)


if __name__ == "__main__":
    main()
