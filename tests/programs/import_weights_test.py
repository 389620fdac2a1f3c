#!/usr/bin/env python3
"""import_weights from outside: what it takes, what it says, and that it writes nothing from what does not fit.

usage: import_weights_test.py DIRECTORY-OF-PROGRAMS
"""

import json
import math
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest
import zipfile

PROGRAM = os.path.join(sys.argv.pop(1), "import_weights")
DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
PARTS = [f"encoder.conv{i}" for i in (1, 2, 3)] + [f"decoder.conv{i}" for i in (1, 2, 3, 4)]


def autoencoder():
    """{name: (shape, floats)} of the model's state dictionary."""
    tensors = {}
    for part in PARTS:
        outputs, inputs = 3 if part.endswith("conv4") else 32, 3 if part == "encoder.conv1" else 32
        tensors[part + ".weight"] = [outputs, inputs, 3, 3]
        tensors[part + ".bias"] = [outputs]
    return {name: (shape, [0.25 * i - 1 for i in range(math.prod(shape))]) for name, shape in tensors.items()}


def safetensors(tensors, metadata=None, header_bytes=0):
    header, data = {"__metadata__": metadata} if metadata else {}, b""
    for name, (shape, values) in tensors.items():
        raw = struct.pack(f"<{len(values)}f", *values)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    head = json.dumps(header).encode().ljust(header_bytes)
    return struct.pack("<Q", len(head)) + head + data


def read(path):
    with open(path, "rb") as file:
        content = file.read()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    return metadata, {
        name: (entry["shape"], content[8 + length + entry["data_offsets"][0] : 8 + length + entry["data_offsets"][1]])
        for name, entry in header.items()
    }


def npy(shape, values):
    header = str({"descr": "<f4", "fortran_order": False, "shape": tuple(shape)}).encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + struct.pack(f"<{len(values)}f", *values)


class ImportWeights(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.output = self.path("out.safetensors")

    def tearDown(self):
        self.folder.cleanup()

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def write(self, name, content):
        with open(self.path(name), "wb") as file:
            file.write(content)
        return self.path(name)

    def run_program(self, *arguments):
        return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=120)

    def accepts(self, *arguments):
        done = self.run_program(*arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr, "")
        return done.stdout

    def refuses(self, *arguments, words=()):
        """One line that says why, code 2, and no output."""
        done = self.run_program(*arguments)
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertTrue(done.stderr.startswith("import_weights: "), done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertFalse(os.path.exists(self.output))
        self.assertFalse([name for name in os.listdir(self.folder.name) if ".saving" in name])
        return done.stdout

    def test_a_state_dictionary_becomes_weights_of_the_model_whatever_its_extension(self):
        tensors = autoencoder()
        source = self.write("weights.pt", safetensors(tensors, {"format": "pt"}))
        report = self.accepts(source, "-o", self.output, "--model", "autoencoder")
        self.assertIn("encoder.conv1.weight  F32 [32, 3, 3, 3] -> encoder.conv1.weight  [32, 3, 3, 3]", report)
        self.assertIn("min -1, max 214.8, mean 106.9", report)
        self.assertIn("48003 parameters in 14 tensors", report)
        metadata, written = read(self.output)
        self.assertEqual({key: metadata.get(key) for key in ("model", "form", "source", "source_format")},
                         {"model": "autoencoder", "form": None, "source": "weights.pt", "source_format": "safetensors"})
        self.assertEqual(set(written), set(tensors))
        for name, (shape, values) in tensors.items():
            self.assertEqual(written[name], (shape, struct.pack(f"<{len(values)}f", *values)))
        with open(self.output, "rb") as file:
            first = file.read()
        self.accepts(source, "-o", self.output)
        with open(self.output, "rb") as file:
            self.assertEqual(file.read(), first)

    def test_a_header_as_long_as_a_pickle_begins_is_no_pickle(self):
        content = safetensors(autoencoder(), header_bytes=0x580)
        self.assertEqual(content[:2], b"\x80\x05")
        self.accepts(self.write("a", content), "-o", self.output)

    def test_a_classifier_keeps_what_it_was_trained_for(self):
        tensors = {}
        for name, shape in (("conv1", [128, 3, 3, 3]), ("conv2", [64, 128, 3, 3]), ("conv3", [32, 64, 3, 3]), ("fc", [6, 2048])):
            tensors[name + ".weight"] = shape, [0.5] * math.prod(shape)
            tensors[name + ".bias"] = shape[:1], [0.5] * shape[0]
        stated = {"model": "conv_net", "task": "6_basic_emo", "labels": "a,b,c,d,e,f", "activation": "softmax", "epoch": "7"}
        self.accepts(self.write("a", safetensors(tensors, stated)), "-o", self.output)
        metadata, _ = read(self.output)
        for key, value in {**stated, "kernel": "3", "image_size": "8"}.items():
            self.assertEqual(metadata.get(key), value, key)

    def test_arrays_of_get_weights_are_transposed(self):
        tensors = autoencoder()
        with zipfile.ZipFile(self.path("w.npz"), "w") as archive:
            for i, (name, (shape, values)) in enumerate(tensors.items()):
                keras = shape if len(shape) == 1 else [shape[2], shape[3], shape[1], shape[0]]
                archive.writestr(f"arr_{i}.npy", npy(keras, values))
        report = self.accepts(self.path("w.npz"), "-o", self.output)
        self.assertIn("arr_0  F32 [3, 3, 3, 32] -> encoder.conv1.weight  [32, 3, 3, 3]  HWIO -> OIHW", report)
        self.assertIn("arr_6  F32 [3, 3, 32, 32] -> decoder.conv1.weight  [32, 32, 3, 3]  HWOI -> [in, out, H, W]", report)
        shape, raw = read(self.output)[1]["encoder.conv1.weight"]
        values = struct.unpack(f"<{len(raw) // 4}f", raw)
        given = tensors["encoder.conv1.weight"][1]
        for o, i, y, x in ((0, 0, 0, 0), (31, 2, 2, 2), (5, 1, 2, 0), (17, 0, 1, 2)):
            self.assertEqual(values[((o * 3 + i) * 3 + y) * 3 + x], given[((y * 3 + x) * 3 + i) * 32 + o])

    def test_names_of_kfer_are_known_in_an_archive_too(self):
        with zipfile.ZipFile(self.path("w.npz"), "w", zipfile.ZIP_DEFLATED) as archive:
            for name, (shape, values) in autoencoder().items():
                archive.writestr(f"{name}.npy", npy(shape, values))
        self.accepts(self.path("w.npz"), "-o", self.output)
        self.assertEqual({name: shape for name, (shape, _) in read(self.output)[1].items()},
                         {name: shape for name, (shape, _) in autoencoder().items()})

    def test_what_is_missing_unexpected_or_of_another_shape_is_listed(self):
        tensors = autoencoder()
        del tensors["decoder.conv2.bias"]
        tensors["decoder.conv9.bias"] = ([1], [0.0])
        tensors["encoder.conv3.bias"] = ([31], [0.0] * 31)
        report = self.refuses(self.write("a", safetensors(tensors)), "-o", self.output,
                              words=("1 tensors missing", "1 unexpected", "1 of another shape", "expected 48003"))
        self.assertIn("missing: decoder.conv2.bias", report)
        self.assertIn("unexpected: decoder.conv9.bias", report)
        self.assertIn("encoder.conv3.bias (expected [32], got [31])", report)

    def test_values_that_are_not_finite_are_an_error(self):
        for bad in (float("nan"), float("inf"), -float("inf")):
            tensors = autoencoder()
            tensors["encoder.conv2.bias"][1][7] = bad
            report = self.refuses(self.write("a", safetensors(tensors)), "-o", self.output,
                                  words=("1 values are not finite", "nothing is written"))
            self.assertIn("encoder.conv2.bias  [32]  as it is; 1 of 32 values not finite", report)

    def test_another_model_or_form_than_expected(self):
        source = self.write("a", safetensors(autoencoder()))
        self.refuses(source, "-o", self.output, "--model", "resnet50",
                     words=("holds weights of autoencoder", "expected resnet50"))
        self.refuses(source, "-o", self.output, "--form", "keras", words=("autoencoder", "expected the form of keras"))
        self.refuses(source, "-o", self.output, "--model", "vgg", words=("--model", "'vgg'"))

    def test_what_is_no_model(self):
        self.refuses(self.write("a", safetensors({"x": ([2], [1, 2])})), "-o", self.output, words=("no model", "--list"))
        self.refuses(self.write("b", safetensors({})), "-o", self.output, words=("no model",))

    def test_pickles_are_refused_and_the_converter_named(self):
        with zipfile.ZipFile(self.path("zip.safetensors"), "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("archive/data.pkl", b"\x80\x02}q\x00.")
        legacy = self.write("legacy.h5", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.")
        for source in (self.path("zip.safetensors"), legacy):
            self.refuses(source, "-o", self.output, words=("pickle", "tools/state_dict_to_safetensors.py"))
        with zipfile.ZipFile(self.path("m.keras"), "w") as archive:
            archive.writestr("metadata.json", "{}")
            archive.writestr("model.weights.h5", b"\x89HDF\r\n\x1a\n")
        self.refuses(self.path("m.keras"), "-o", self.output, words=("model.weights.h5",))

    def test_files_of_no_format(self):
        for content in (b"", b"\0", b"text\n", b"\0" * 1000, bytes(range(1, 65))):
            self.refuses(self.write("a", content), "-o", self.output, words=("none of",))
        self.refuses(self.path("missing"), "-o", self.output, words=("cannot open", "missing"))
        self.refuses(self.folder.name, "-o", self.output, words=("directory", "checkpoint"))

    def test_damaged_files(self):
        whole = safetensors(autoencoder())
        self.refuses(self.write("a", whole[:-1]), "-o", self.output, words=("'" + self.path("a"),))
        self.refuses(self.write("a.npz", b"PK\x03\x04" + b"\0" * 60), "-o", self.output, words=("zip",))
        self.refuses(self.write("a.h5", b"\x89HDF\r\n\x1a\n" + b"\0" * 60), "-o", self.output, words=("a.h5",))

    def test_a_checkpoint_by_prefix_index_and_directory(self):
        for name in ("checkpoint.index", "checkpoint.data-00000-of-00002", "checkpoint.data-00001-of-00002"):
            self.write("m" + name[10:], (DATA / "io" / name).read_bytes())
        for source in (self.path("m"), self.path("m.index")):
            listed = self.accepts(source, "--list")
            self.assertIn("float  F32 [2, 3]  min 0, max 1.25, mean 0.625", listed)
            self.assertIn("int64  I64 [3]\n", listed)
            self.assertIn("strings  strings", listed)
            self.refuses(source, "-o", self.output, words=("no model of kfer has",))
        self.write("checkpoint", b'model_checkpoint_path: "m"\n')
        self.assertIn("TensorFlow checkpoint, 17 tensors", self.accepts(self.folder.name, "--list"))
        report = self.accepts(self.path("m"), "--raw", "-o", self.output)
        self.assertIn("17 tensors, as they are", report)
        self.assertEqual(read(self.output)[1]["float"], ([2, 3], struct.pack("<6f", 0, 0.25, 0.5, 0.75, 1, 1.25)))
        os.unlink(self.output)
        data = bytearray((DATA / "io" / "checkpoint.data-00001-of-00002").read_bytes())
        data[100] ^= 1
        self.write("m.data-00001-of-00002", data)
        self.refuses(self.path("m"), "-o", self.output, words=("CRC", "m.index"))
        os.unlink(self.path("m.data-00000-of-00002"))
        self.refuses(self.path("m"), "-o", self.output, words=("m.data-00000-of-00002",))

    def test_a_file_of_keras_is_told_by_its_content(self):
        # The published layers with fewer channels: recognised, converted, and refused tensor by tensor.
        source = self.write("w.npz", (DATA / "io" / "keras2_conv_net.h5").read_bytes())
        report = self.refuses(source, "-o", self.output, words=("does not fit conv_net", "6 of another shape"))
        self.assertIn("Keras HDF5, 8 tensors", report)
        self.assertIn("conv2d/conv2d/kernel:0  F32 [3, 3, 3, 5] -> conv1.weight  [5, 3, 3, 3]  HWIO -> OIHW", report)
        self.assertIn("of another shape: conv1.weight (expected [128, 3, 3, 3], got [5, 3, 3, 3])", report)

    def test_usage(self):
        source = self.write("a", safetensors(autoencoder()))
        self.refuses(words=("INPUT",))
        self.refuses(source, words=("-o",))
        self.refuses(source, source, "-o", self.output, words=("got 2",))
        self.refuses(source, "-o", self.output, "--fast", words=("--fast",))
        self.refuses(source, "-o", self.output, "--raw", "--model", "resnet50", words=("--raw",))
        self.refuses(source, "-o", self.path("none/out.safetensors"), words=("none/out.safetensors",))
        self.assertIn("--model", self.accepts("--help"))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
