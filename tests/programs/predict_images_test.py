#!/usr/bin/env python3
"""predict_images from outside: folders, files and lists of images, broken ones among them, in three formats that agree.

usage: predict_images_test.py DIRECTORY-OF-PROGRAMS
"""

import contextlib
import csv
import io
import json
import math
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib

PROGRAMS = sys.argv.pop(1)
ENVIRONMENT = dict(os.environ, OMP_NUM_THREADS="2", OMP_WAIT_POLICY="passive")
LABELS = ("moved fearful bored surprised angry anxious smitten fluttered disappointed fulfilled ashamed sad upset sympathetic "
          "passionate depressed amused affectionate guilty neutral jealous peaceful happy disgusted").split()


def program(name, *arguments, **options):
    options = {"capture_output": True, "text": True, "timeout": 300, **options}
    if "stdout" in options:
        options.update(capture_output=False, stderr=subprocess.PIPE)
    return subprocess.run([os.path.join(PROGRAMS, name), *(x if isinstance(x, bytes) else str(x) for x in arguments)], env=ENVIRONMENT, **options)


def png(width, height, seed):
    """A PNG file's bytes: blocks of random colours."""
    chance = random.Random(seed)
    colours = [bytes(chance.randrange(256) for _ in range(3)) for _ in range(16)]
    rows = b"".join(b"\0" + b"".join(colours[(4 * y // height) * 4 + 4 * x // width] for x in range(width)) for y in range(height))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def jpegs(path):
    """The JPEG files in a TFRecord file."""
    with open(path, "rb") as file:
        while header := file.read(12):
            record = file.read(struct.unpack_from("<Q", header)[0])
            file.read(4)
            yield record[record.index(b"\xff\xd8\xff"):record.rindex(b"\xff\xd9") + 2]


def with_metadata(weights, change):
    """The bytes of a safetensors file with other metadata."""
    (size,) = struct.unpack_from("<Q", weights)
    header = json.loads(weights[8:8 + size])
    metadata = header.pop("__metadata__")
    for key in ("kfer.crc32c", "writer"):  # the checksum would be wrong
        metadata.pop(key, None)
    text = json.dumps({"__metadata__": change(metadata), **header}).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + weights[8 + size:]


class PredictImages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        data, runs = cls.path("kdrama"), cls.path("runs")
        made = program("make_synthetic_kdrama", "--data-path", data, "--images", 200, "--sets", "multi-label")
        assert made.returncode == 0, made.stderr
        trained = program("train_multilabel", "--data-path", data, "--model", "autoencoder", "--epochs", 1, "--pretrain-epochs", 0,
                          "--lr", "1e-2", "--batch-size", 16, "--limit", 64, "--output-dir", runs, "--name", "run")
        assert trained.returncode == 0, trained.stderr
        found = [os.path.join(at, name) for at, _, names in os.walk(runs) for name in names if name == "best.safetensors"]
        cls.weights = found[0]

        # Fifteen images of several sizes and both formats, a broken one in the middle, two files that are no images.
        cls.images = cls.path("images")
        os.makedirs(cls.images)
        contents = list(jpegs(os.path.join(data, "tfrecords", "multi-label_test.tfrecords")))[:10]
        contents += [png(20 + 45 * i, 130 - 25 * i, i) for i in range(5)]
        for i, content in enumerate(contents):
            cls.write(f"images/{i:02}.{'jpg' if i < 10 else 'png'}", content)
        cls.write("images/07b.png", contents[12][:-40])
        cls.write("images/notes.txt", b"no image")
        cls.write("images/.hidden", b"")
        os.makedirs(cls.path("images/within"))
        cls.write("images/within/a name, with \"quotes\".JPG", contents[0])
        cls.write("images/within/\u00fcber", contents[11])  # an image by its content
        names = sorted(name for name in os.listdir(cls.images) if name[:2].isdigit())
        cls.top = [os.path.join(cls.images, name) for name in names]
        cls.all = cls.top + [os.path.join(cls.images, "within", name) for name in ('a name, with "quotes".JPG', "\u00fcber")]
        cls.broken = os.path.join(cls.images, "07b.png")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def path(cls, *names):
        return os.path.join(cls.folder.name, *names)

    @classmethod
    def write(cls, name, content):
        with open(cls.path(name), "wb") as file:
            file.write(content)
        return cls.path(name)

    def predict(self, *arguments, code=0, **options):
        result = program("predict_images", "--weights", self.weights, *arguments, **options)
        self.assertEqual(result.returncode, code, result.stderr)
        return result

    def refused(self, *arguments, says, **options):
        result = program("predict_images", *arguments, **options)
        lines = [line for line in result.stderr.splitlines() if line.startswith("predict_images: ")]
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertEqual(len(lines), 1, result.stderr)
        for word in says:
            self.assertIn(word, lines[0])

    def rows(self, *arguments, code=0, **options):
        """[(image, {label: probability} or None, error)], from CSV."""
        table = list(csv.reader(io.StringIO(self.predict("--format", "csv", *arguments, code=code, **options).stdout)))
        self.assertEqual(table[0], ["image", *LABELS, "error"])
        out = []
        for image, *cells, error in table[1:]:
            self.assertEqual(len(cells), len(LABELS))
            out.append((image, None if error else dict(zip(LABELS, map(float, cells))), error))
        return out

    def test_formats_agree(self):
        rows = self.rows("--recursive", self.images, code=1)
        self.assertEqual([row[0] for row in rows], self.all)
        objects = [json.loads(line) for line in self.predict("--format", "json", "-r", self.images, code=1).stdout.splitlines()]
        lines = self.predict("-r", self.images, code=1).stdout.splitlines()
        self.assertEqual(len(objects), len(rows))
        self.assertEqual(len(lines), len(rows))
        for (image, p, error), found, line in zip(rows, objects, lines):
            self.assertEqual(found["image"], image)
            self.assertTrue(line.startswith(image + ": "), line)
            if image == self.broken:
                self.assertIn("PNG", error)
                self.assertEqual(found, {"image": image, "error": error})
                self.assertEqual(line, f"{image}: error: {error}")
                continue
            self.assertEqual(error, "")
            self.assertEqual(found["probabilities"], p)
            self.assertEqual(list(found["probabilities"]), LABELS)
            expected = sorted((label for label in LABELS if p[label] >= 0.5), key=lambda label: -p[label])
            self.assertEqual(found["labels"], expected)
            said = line[len(image) + 2:]
            if expected:
                self.assertEqual(said, ", ".join(f"{label} {p[label]:.2f}" for label in expected))
            else:
                best = max(LABELS, key=p.get)
                self.assertEqual(said, f"none (most probable: {best} {p[best]:.2f})")
            for value in p.values():
                self.assertTrue(0 < value < 1)
        self.assertNotEqual(rows[0][1], rows[-1][1])

    def test_a_broken_image_is_reported_and_the_run_goes_on(self):
        result = self.predict(self.images, code=1)
        self.assertEqual(len(result.stdout.splitlines()), 16)
        complaints = [line for line in result.stderr.splitlines() if line.startswith("predict_images: ")]
        self.assertEqual(len(complaints), 1, result.stderr)
        self.assertIn(self.broken, complaints[0])
        self.assertIn("15 images predicted, 1 broken, 2 other files passed over", result.stderr)
        whole = [path for path in self.top if path != self.broken]
        self.assertNotIn("predict_images: ", self.predict(*whole).stderr)

    def test_results_do_not_depend_on_batches_or_threads(self):
        expected = self.rows(self.images, code=1)
        for arguments in (["-b", 1], ["-b", 2, "-j", 0], ["-b", 7, "-j", 3], ["-b", 16, "-j", 1], ["-b", 15]):
            found = self.rows(self.images, *arguments, code=1)
            self.assertEqual([row[0] for row in found], [row[0] for row in expected])
            for (_, p, error), (_, q, other) in zip(found, expected):
                self.assertEqual(error, other)
                if p:
                    self.assertLess(max(abs(p[label] - q[label]) for label in LABELS), 1e-6)

    def test_files_folders_and_lists(self):
        some = [self.all[5], self.all[1], self.all[-1], self.all[-2]]
        expected = self.rows(*some)
        self.assertEqual([row[0] for row in expected], some)
        listed = self.write("list", "\n".join(some[:2] + ["", some[2] + "\r", some[3]]).encode())  # without a last line end
        self.assertEqual(self.rows("--list", listed), expected)
        self.assertEqual(self.rows("--list", "-", input="".join(path + "\n" for path in some)), expected)
        self.assertEqual(self.rows("--list", "-", some[0], input="".join(path + "\n" for path in some[1:])), expected)
        within = os.path.dirname(some[3])
        mixed = self.rows("--list", "-", some[0], within, input=some[1] + "\n")
        self.assertEqual([row[0] for row in mixed], [some[0], *self.all[-2:], some[1]])
        once = self.rows(self.images, code=1)
        thrice = self.rows(self.images, self.images, self.images, "-b", 4, code=1)
        self.assertEqual([row[0] for row in thrice], [row[0] for row in once] * 3)

    def test_nothing_to_do(self):
        os.makedirs(self.path("empty"), exist_ok=True)
        result = self.predict(self.path("empty"))
        self.assertEqual(result.stdout, "")
        self.assertIn("0 images predicted, 0 broken", result.stderr)
        self.assertEqual(self.rows(self.path("empty")), [])
        self.assertEqual(self.predict("--list", "-", input="").stdout, "")

    def test_files_that_are_named_must_be_images(self):
        notes = os.path.join(self.images, "notes.txt")
        rows = self.rows(self.top[0], notes, self.path("absent.jpg"), self.top[1], code=1)
        self.assertEqual([bool(row[1]) for row in rows], [True, False, False, True])
        self.assertIn("neither JPEG nor PNG", rows[1][2])
        self.assertIn("No such file", rows[2][2])
        os.mkfifo(self.path("pipe"))  # nobody writes to it, and nobody waits for that
        (row,) = self.rows(self.path("pipe"), code=1)
        self.assertIn("not a regular file", row[2])

    def test_names_that_formats_find_hard(self):
        strange = os.path.join(os.fsencode(self.folder.name), b"line\nend, \xff.jpg")
        shutil.copyfile(self.top[0], strange)
        found = json.loads(self.predict("--format", "json", strange).stdout)
        self.assertEqual(found["image"], strange.decode("utf-8", "replace"))
        table = self.predict("--format", "csv", strange, text=False).stdout
        self.assertIn(b'"' + strange + b'",', table)
        lines = self.predict(strange, text=False).stdout.split(b"\n")
        self.assertEqual(len(lines), 2)  # and the empty rest
        self.assertTrue(lines[0].startswith(strange.replace(b"\n", b"?") + b": "))
        absent = self.predict(strange + b"\x1b[2J, \xc2\x9b2J, \xc3\x9b", text=False, code=1)
        for output in (absent.stderr, absent.stdout):
            self.assertNotIn(b"\x1b", output)
            self.assertIn(b"?[2J, ?2J, \xc3\x9b", output)

    def test_thresholds_and_top(self):
        (_, p, _), = self.rows(self.top[0])
        order = sorted(LABELS, key=lambda label: -p[label])
        middle = (p[order[5]] + p[order[6]]) / 2

        def labels(*arguments):
            return json.loads(self.predict("--format", "json", self.top[0], *arguments).stdout)["labels"]

        self.assertEqual(labels("--threshold", 0), order)
        self.assertEqual(labels("--threshold", middle), order[:6])
        self.assertEqual(labels("--threshold", 1), [])
        self.assertEqual(labels("--top", 3), order[:3])
        self.assertEqual(labels("--top", 3, "--threshold", middle), order[:3])
        self.assertEqual(labels("--top", 9, "--threshold", middle), order[:6])

    def test_weights_without_metadata(self):
        with open(self.weights, "rb") as file:
            weights = file.read()
        bare = self.write("bare.safetensors", with_metadata(weights, lambda metadata: {"model": metadata["model"]}))
        self.refused("--weights", bare, self.top[0], says=["bare.safetensors", "'labels', 'activation'", "option"])
        expected = self.predict("--format", "csv", self.top[0]).stdout

        def output(*arguments):
            result = program("predict_images", "--weights", bare, "--format", "csv", self.top[0], *arguments)
            self.assertEqual(result.returncode, 0, result.stderr)
            return result.stdout

        self.assertEqual(output("--task", "multi-label"), expected)
        self.assertEqual(output("--labels", ",".join(LABELS), "--activation", "sigmoid"), expected)
        exclusive = list(csv.DictReader(io.StringIO(output("--task", "multi-label", "--activation", "softmax"))))[0]
        self.assertTrue(math.isclose(sum(float(exclusive[label]) for label in LABELS), 1, abs_tol=1e-5))
        top = program("predict_images", "-w", bare, "--task", "multi-label", "--activation", "softmax", self.top[0]).stdout
        best = max(LABELS, key=lambda label: float(exclusive[label]))
        self.assertTrue(re.fullmatch(re.escape(self.top[0]) + f": {best} 0\\.\\d\\d\n", top), top)

        self.refused("--weights", bare, self.top[0], "--task", "22_emo", says=["22 labels", "24 classes"])
        self.refused("--weights", bare, self.top[0], "--task", "7_emo", says=["7_emo", "multi-label"])
        self.refused("--weights", bare, self.top[0], "--labels", "a,b", "--activation", "sigmoid", says=["2 labels", "24 classes"])
        self.refused("--weights", bare, self.top[0], "--task", "multi-label", "--activation", "relu", says=["relu", "softmax"])
        self.refused("--weights", bare, self.top[0], "--task", "multi-label", "--image-size", 32, says=["32", "64"])
        other = self.write("other.safetensors", with_metadata(weights, lambda metadata: {**metadata, "model": "conv_net"}))
        self.refused("--weights", other, self.top[0], says=["conv_net", "autoencoder_classifier"])

    def test_refusals(self):
        self.refused(self.top[0], says=["--weights"])
        self.refused("--weights", self.weights, says=["no images"])
        self.refused("--weights", self.path("absent"), self.top[0], says=["absent", "No such file"])
        self.refused("--weights", self.top[0], self.top[0], says=["00.jpg"])
        self.refused("--weights", self.weights, "--list", self.path("absent"), says=["absent", "No such file"])
        self.refused("--weights", self.weights, "--format", "xml", self.top[0], says=["--format", "text, csv or json"])
        self.refused("--weights", self.weights, "--threshold", "1.5", self.top[0], says=["--threshold"])
        self.refused("--weights", self.weights, "--device", "tpu", self.top[0], says=["tpu"])
        self.refused("--weights", self.weights, "--output", self.path("absent/out.csv"), self.top[0], says=["absent/out.csv"])
        long = self.write("long", b"x" * 200000)
        self.refused("--weights", self.weights, "--list", long, says=["long", "one path a line"])
        nul = self.write("nul", b"\0".join(path.encode() for path in self.top))  # find's -print0
        self.refused("--weights", self.weights, "--list", nul, says=["nul", "NUL", "one path a line"])
        with open(self.weights, "rb") as file:
            cut = self.write("cut.safetensors", file.read()[:-4])
        self.refused("--weights", cut, self.top[0], says=["cut.safetensors"])

    def test_output_appears_when_it_is_complete(self):
        path = self.path("out.csv")
        self.write("out.csv", b"before")
        self.refused("--weights", self.weights, "--list", self.write("long", b"x" * 200000), "--output", path, says=["long"])
        with open(path, "rb") as file:
            self.assertEqual(file.read(), b"before")
        expected = self.predict("--format", "csv", self.images, code=1).stdout
        self.assertEqual(self.predict("--format", "csv", self.images, "--output", path, code=1).stdout, "")
        with open(path, encoding="utf-8", newline="") as file:
            self.assertEqual(file.read(), expected)
        self.assertEqual([name for name in os.listdir(self.folder.name) if "saving" in name], [])

    def test_an_output_that_takes_nothing(self):
        with open("/dev/full", "wb") as full:
            result = program("predict_images", "--weights", self.weights, self.top[0], stdout=full)
        self.assertEqual(result.returncode, 2)
        self.assertIn("standard output", result.stderr)
        self.assertIn("No space left", result.stderr)
        closed = program("predict_images", "--weights", self.weights, self.top[0], preexec_fn=lambda: os.close(1))
        self.assertEqual(closed.returncode, 2)
        self.assertIn("standard output", closed.stderr)

    def test_nobody_reads_the_output(self):
        process = subprocess.Popen(
            [os.path.join(PROGRAMS, "predict_images"), "--weights", self.weights, "--format", "json", "--list", "-"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT)
        process.stdout.close()
        with self.assertRaises(BrokenPipeError):  # it stops reading
            for _ in range(200):
                process.stdin.write((self.top[0] + "\n").encode() * 1000)
                process.stdin.flush()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        errors = process.stderr.read().decode()
        process.stderr.close()
        self.assertEqual(process.wait(60), -signal.SIGPIPE, errors)
        self.assertNotIn("predict_images: ", errors)

    def test_an_interrupt_leaves_the_rows_so_far(self):
        process = subprocess.Popen(
            [os.path.join(PROGRAMS, "predict_images"), "--weights", self.weights, "-b", "2", "--list", "-"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT, text=True)
        process.stderr.readline()  # the weights are loaded
        process.stdin.write((self.top[0] + "\n") * 20)
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate((self.top[0] + "\n") * 20, timeout=60)
        self.assertEqual(process.returncode, 130, errors)
        self.assertIn("interrupted", errors)
        for line in out.splitlines():
            self.assertTrue(line.startswith(self.top[0] + ": "), line)


if __name__ == "__main__":
    unittest.main(verbosity=2)
