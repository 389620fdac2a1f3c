#!/usr/bin/env python3
"""TensorBoard reads the events of a run: by its reader, and by the server that people open.

usage: tensorboard_test.py BUILD-DIRECTORY

The events are written by the trainer in tests/kfer_test_train of the build. Exits with 77 without TensorBoard.
"""

import csv
import json
import math
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse
import urllib.request
import warnings
import zlib

warnings.filterwarnings("ignore")
try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
except ImportError:
    print("tensorboard: no TensorBoard here (pip install tensorboard, or KFER_PYTHON)")
    sys.exit(77)

TEXT = '| lr | 1e-5 |\n\ud654\ub0a8 <b>"&"</b>'
PIXELS = bytes([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 8, 7, 6, 5, 4, 3, 2, 1])


def float32(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


class TensorBoard(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.run_directory = pathlib.Path(cls.folder.name) / "tiny"
        cls.run_directory.mkdir()
        subprocess.run([BUILD / "tests" / "kfer_test_train", "-tc=events of a run*"], check=True, timeout=300,
                       env=dict(os.environ, KFER_EVENTS_DIR=str(cls.run_directory)), stdout=subprocess.DEVNULL)
        with open(cls.run_directory / "results.csv", newline="") as file:
            cls.rows = list(csv.DictReader(file))

    def check_scalars(self, tag, points):
        """(step, value) pairs against results.csv."""
        self.assertEqual([step for step, _ in points], [int(row["epoch"]) for row in self.rows], tag)
        self.assertEqual([value for _, value in points], [float32(float(row[tag])) for row in self.rows], tag)

    def check_image(self, png):
        """The PNG's pixels; stb writes one filter byte a row, and nothing here needs another library to undo them."""
        self.assertTrue(png.startswith(b"\x89PNG\r\n\x1a\n"))
        at, packed = 8, b""
        while at < len(png):
            size, kind = struct.unpack(">I4s", png[at:at + 8])
            body = png[at + 8:at + 8 + size]
            if kind == b"IHDR":
                self.assertEqual(struct.unpack(">IIBBBBB", body), (3, 2, 8, 2, 0, 0, 0))
            elif kind == b"IDAT":
                packed += body
            at += size + 12
        rows, above, out = zlib.decompress(packed), bytes(9), b""
        for row in (rows[:10], rows[10:]):
            line = bytearray(9)
            for i, value in enumerate(row[1:]):
                left, corner = (line[i - 3], above[i - 3]) if i >= 3 else (0, 0)
                guess = left + above[i] - corner
                paeth = min((left, above[i], corner), key=lambda c: abs(guess - c))
                line[i] = (value + (0, left, above[i], (left + above[i]) // 2, paeth)[row[0]]) % 256
            out, above = out + line, bytes(line)
        self.assertEqual(out, PIXELS)

    def test_reader(self):
        events = EventAccumulator(str(self.run_directory))
        events.Reload()
        tags = events.Tags()
        self.assertEqual(sorted(tags["scalars"]), ["loss", "lr", "odd", "val_loss"])
        self.assertEqual(len(self.rows), 5)
        for tag in ("loss", "val_loss", "lr"):
            points = sorted((event.step, event.value, event.wall_time) for event in events.Scalars(tag))
            self.check_scalars(tag, [point[:2] for point in points])
            for _, _, wall_time in points:
                self.assertLess(abs(wall_time - time.time()), 3600)
        odd = events.Scalars("odd")
        self.assertEqual([event.step for event in odd], [1, 1 << 40])
        self.assertTrue(math.isnan(odd[0].value))
        self.assertEqual(odd[1].value, -math.inf)

        self.assertEqual(tags["images"], ["faces/first"])
        (image,) = events.Images("faces/first")
        self.assertEqual((image.step, image.height, image.width), (4, 2, 3))
        self.check_image(image.encoded_image_string)

        self.assertEqual(tags["tensors"], ["arguments"])
        self.assertEqual(events.SummaryMetadata("arguments").plugin_data.plugin_name, "text")
        (text,) = events.Tensors("arguments")
        self.assertEqual(text.tensor_proto.string_val[0].decode(), TEXT)
        self.assertEqual([d.size for d in text.tensor_proto.tensor_shape.dim], [1])

    def test_server(self):
        server = subprocess.Popen(
            [sys.executable, "-m", "tensorboard.main", "--logdir", self.folder.name, "--port", "0", "--host", "127.0.0.1"],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (server.terminate(), server.wait(30), server.stderr.close()))
        timer = threading.Timer(120, server.kill)
        timer.start()
        self.addCleanup(timer.cancel)
        address = None
        for line in server.stderr:
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                address = found.group()
                break
        self.assertIsNotNone(address, "TensorBoard did not start")
        threading.Thread(target=server.stderr.read, daemon=True).start()

        def get(plugin, what, encoded_query="", **query):
            url = f"{address}/data/plugin/{plugin}/{what}?{encoded_query or urllib.parse.urlencode(query)}"
            with urllib.request.urlopen(url, timeout=60) as answer:
                return answer.read()

        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:  # it loads runs in the background
            tags = json.loads(get("scalars", "tags"))
            if "odd" in tags.get("tiny", {}):
                break
            time.sleep(0.5)
        self.assertEqual(sorted(tags["tiny"]), ["loss", "lr", "odd", "val_loss"])
        for tag in ("loss", "val_loss", "lr"):
            points = json.loads(get("scalars", "scalars", run="tiny", tag=tag))
            self.check_scalars(tag, sorted((step, value) for _, step, value in points))
        self.assertEqual(list(json.loads(get("images", "tags"))["tiny"]), ["faces/first"])
        (image,) = json.loads(get("images", "images", run="tiny", tag="faces/first", sample=0))
        self.assertEqual(image["step"], 4)
        self.check_image(get("images", "individualImage", image["query"]))
        self.assertEqual(json.loads(get("text", "tags")), {"tiny": ["arguments"]})
        (text,) = json.loads(get("text", "text", run="tiny", tag="arguments"))
        self.assertIn("\ud654\ub0a8", text["text"])


if __name__ == "__main__":
    BUILD = pathlib.Path(sys.argv.pop(1))
    unittest.main()
