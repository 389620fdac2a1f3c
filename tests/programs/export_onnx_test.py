#!/usr/bin/env python3
"""export_onnx from outside: what it writes, and that whatever is wrong is one line, code 2 and an untouched file.

usage: export_onnx_test.py DIRECTORY-OF-PROGRAMS

That the models compute what kfer computes is tests/peers/onnx_test.py's business.
"""

import json
import os
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import unittest
import zipfile

PROGRAM = os.path.join(sys.argv.pop(1), "export_onnx")
ENVIRONMENT = dict(os.environ, OMP_NUM_THREADS="2", OMP_WAIT_POLICY="passive")
SMALL = ["--model", "conv_net", "--classes", 2, "--kernel", 3, "--image-size", 8]


def run(*arguments, **options):
    return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, env=ENVIRONMENT, timeout=120,
                          **options)


def tensors_of(*architecture):
    """{name: (type, shape)} as --list prints them."""
    done = run("--list", *architecture)
    assert done.returncode == 0, done.stderr
    lines = (line.split(" ", 1) for line in done.stdout.splitlines())
    return {name: ("F32", json.loads(shape)) for name, shape in lines}


def safetensors(tensors, metadata):
    header, end = {"__metadata__": metadata} if metadata else {}, 0
    for name, (dtype, shape) in tensors.items():
        size = 4
        for extent in shape:
            size *= extent
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + struct.pack("<f", 0.125) * (end // 4)


class ExportOnnx(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tensors = tensors_of(*SMALL)

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.output = os.path.join(self.folder, "model.onnx")

    def weights(self, tensors=None, **metadata):
        path = os.path.join(self.folder, "weights.safetensors")
        with open(path, "wb") as file:
            file.write(safetensors(self.tensors if tensors is None else tensors, metadata))
        return path

    def refused(self, words, *arguments, **options):
        """One line with all the words, code 2; the file that was there before still is, and no other."""
        with open(self.output, "w") as file:
            file.write("before")
        before = sorted(os.listdir(self.folder))
        done = run(*arguments, **options)
        self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        for word in ("export_onnx: ", *words):
            self.assertIn(word, done.stderr)
        self.assertEqual(sorted(os.listdir(self.folder)), before)
        with open(self.output) as file:
            self.assertEqual(file.read(), "before")

    def refused_weights(self, words, weights, *more, **options):
        self.refused(words, weights, "-o", self.output, *more, **options)

    def test_names_and_shapes_are_listed(self):
        self.assertEqual(self.tensors["conv1.weight"], ("F32", [128, 3, 3, 3]))
        self.assertEqual(self.tensors["fc.weight"], ("F32", [2, 32 * 8 * 8]))
        self.assertEqual(len(self.tensors), 8)
        self.assertNotIn("conv1.bias", tensors_of("--model", "resnet50", "--form", "torchvision"))

    def test_a_model_is_written_with_what_the_weights_tell(self):
        weights = self.weights(model="conv_net", labels="sad,happy", activation="sigmoid", epoch="7")
        done = run(weights, "-o", self.output)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("image [N, 3, 8, 8] -> probabilities", done.stdout)
        with open(self.output, "rb") as file:
            model = file.read()
        for text in ("Conv", "Gemm", "Sigmoid", "fc.weight", "sad,happy", "epoch", "kfer", "probabilities"):
            self.assertIn(text.encode(), model)
        again = os.path.join(self.folder, "again.onnx")
        self.assertEqual(run(weights, "-o", again, "--model", "conv_net", "--classes", 2, "--kernel", 3).returncode, 0)
        with open(again, "rb") as file:
            self.assertEqual(file.read(), model)
        self.assertEqual(sorted(os.listdir(self.folder)), ["again.onnx", "model.onnx", "weights.safetensors"])

    def test_the_task_tells_the_activation_as_it_does_when_predicting(self):
        for metadata, activation in (({"task": "multi-label"}, "Sigmoid"), ({"task": "22_emo"}, "Softmax"), ({}, None),
                                     ({"task": "multi-label", "activation": "softmax"}, "Softmax")):
            done = run(self.weights(**metadata), "-o", self.output)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("-> probabilities" if activation else "-> logits", done.stdout)
            with open(self.output, "rb") as file:
                model = file.read()
            for name in ("Sigmoid", "Softmax"):
                self.assertEqual(name.encode() in model, name == activation, metadata)
        self.refused_weights(["poetry", "multi-label"], self.weights(task="poetry"))

    def test_a_sample_has_images_and_answers(self):
        sample = os.path.join(self.folder, "sample.npz")
        done = run(self.weights(), "-o", self.output, "--sample", sample, "--sample-batch", 5)
        self.assertEqual(done.returncode, 0, done.stderr)
        with zipfile.ZipFile(sample) as archive:
            self.assertEqual(archive.namelist(), ["image.npy", "logits.npy"])
            self.assertIn(b"'shape': (5, 3, 8, 8)", archive.read("image.npy"))
            logits = archive.read("logits.npy")
        self.assertIn(b"'shape': (5, 2)", logits)
        numbers = struct.unpack("<10f", logits[-40:])
        self.assertTrue(all(0 < x < float("inf") for x in numbers))  # weights and images are positive

    def test_files_that_are_no_weights(self):
        path = os.path.join(self.folder, "text.safetensors")
        with open(path, "w") as file:
            file.write("these are no weights of anything\n")
        self.refused_weights(["text.safetensors", "safetensors"], path)
        self.refused_weights(["none.safetensors", "No such file"], os.path.join(self.folder, "none.safetensors"))
        cut = self.weights()
        with open(cut, "r+b") as file:
            file.truncate(os.path.getsize(cut) - 1)
        self.refused_weights(["weights.safetensors"], cut)

    def test_weights_of_another_model(self):
        self.refused_weights(["conv_net", "resnet50"], self.weights(), "--model", "resnet50")
        self.refused_weights(["conv_net", "autoencoder"], self.weights(model="autoencoder"))
        self.refused_weights(["conv_net", "transformer"], self.weights(model="transformer"))
        self.refused_weights(["none of kfer's models"], self.weights({"x": ("F32", [2])}))

    def test_tensors_missing_unexpected_or_of_another_kind(self):
        missing = {name: kind for name, kind in self.tensors.items() if name != "conv2.bias"}
        self.refused_weights(["1 missing: conv2.bias"], self.weights(missing))
        self.refused_weights(["1 unexpected: more"], self.weights({**self.tensors, "more": ("F32", [1])}))
        self.refused_weights(["conv2.bias", "[64]", "[65]"], self.weights({**self.tensors, "conv2.bias": ("F32", [65])}))
        self.refused_weights(["conv2.bias", "I32"], self.weights({**self.tensors, "conv2.bias": ("I32", [64])}))

    def test_flags_and_metadata_that_contradict_the_weights(self):
        self.refused_weights(["--classes 3", "for 2"], self.weights(), "--classes", 3)
        self.refused_weights(["--kernel 5", "for 3"], self.weights(), "--kernel", 5)
        self.refused_weights(["--image-size 64", "for 8"], self.weights(), "--image-size", 64)
        self.refused_weights(["--form", "conv_net"], self.weights(), "--form", "keras")
        self.refused_weights(["3 labels", "2 outputs"], self.weights(labels="a,b,c"))
        self.refused_weights(["activation", "relu"], self.weights(activation="relu"))
        autoencoder = tensors_of("--model", "autoencoder")
        self.refused_weights(["--activation", "autoencoder"], self.weights(autoencoder), "--activation", "softmax")
        self.refused_weights(["--kernel", "autoencoder"], self.weights(autoencoder), "--kernel", 3)
        self.refused_weights(["image_size", "'big'"], self.weights(autoencoder, image_size="big"))

    def test_paths_that_cannot_be_written(self):
        self.refused(["none/model.onnx"], self.weights(), "-o", os.path.join(self.folder, "none", "model.onnx"))
        self.refused(["/dev/full"], self.weights(), "-o", "/dev/full")
        self.refused([self.folder], self.weights(), "-o", self.folder)
        self.refused_weights(["none/sample.npz"], self.weights(), "--sample", os.path.join(self.folder, "none/sample.npz"))

    def test_a_disk_that_fills_up(self):
        def little_space():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then write() fails, as on a full disk
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

        self.refused_weights(["model.onnx"], self.weights(), preexec_fn=little_space)

    def test_wrong_usage(self):
        weights = self.weights()
        self.refused(["one file of weights", "got 0"], "-o", self.output)
        self.refused(["got 2"], weights, weights, "-o", self.output)
        self.refused(["--output"], weights)
        self.refused(["--model"], "--list")
        self.refused(["--classes"], "--list", "--model", "conv_net")
        self.refused(["--model", "resnet50_classifier", "vgg"], "--list", "--model", "vgg")
        self.refused(["kernels of size 2"], "--list", "--model", "conv_net", "--classes", 2, "--kernel", 2)


if __name__ == "__main__":
    unittest.main(verbosity=0)
