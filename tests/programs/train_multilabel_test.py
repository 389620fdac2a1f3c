#!/usr/bin/env python3
"""The main example from outside: trains, is interrupted and killed, resumes bit for bit, tests, and refuses nonsense.

usage: train_multilabel_test.py DIRECTORY-OF-PROGRAMS
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAMS = sys.argv.pop(1)
ENVIRONMENT = dict(os.environ, OMP_NUM_THREADS="2", OMP_WAIT_POLICY="passive")


def program(name, *arguments, **options):
    return subprocess.run(
        [os.path.join(PROGRAMS, name), *map(str, arguments)],
        capture_output=True, text=True, env=ENVIRONMENT, timeout=300, **options,
    )


class TrainMultilabel(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.data = os.path.join(cls.folder.name, "kdrama")
        made = program("make_synthetic_kdrama", "--data-path", cls.data, "--images", 500, "--sets", "multi-label")
        assert made.returncode == 0, made.stderr
        cls.whole = cls.train("whole")
        assert cls.whole.returncode == 0, cls.whole.stderr

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def arguments(cls, name, *more):
        return ["--data-path", cls.data, "--model", "autoencoder", "--epochs", 3, "--pretrain-epochs", 1, "--lr", "1e-3",
                "--batch-size", 32, "--output-dir", os.path.join(cls.folder.name, "runs"), "--name", name, *more]

    @classmethod
    def train(cls, name, *more):
        return program("train_multilabel", *cls.arguments(name, *more))

    def file(self, name, which):
        with open(os.path.join(self.folder.name, "runs", "multi-label", name, which), "rb") as file:
            return file.read()

    def same_run(self, name):
        for which in ("weights/best.safetensors", "weights/last.safetensors", "results.csv"):
            self.assertEqual(self.file(name, which), self.file("whole", which), which)

    def begin(self, name, *more):
        return subprocess.Popen(
            [os.path.join(PROGRAMS, "train_multilabel"), *map(str, self.arguments(name, *more))],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT,
        )

    def refused(self, *arguments, says):
        result = program("train_multilabel", *arguments)
        lines = [line for line in result.stderr.splitlines() if line.startswith("train_multilabel: ")]
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertEqual(len(lines), 1, result.stderr)
        for word in says:
            self.assertIn(word, lines[0])

    def test_prints_published_obtained_difference(self):
        lines = {line[:18].strip(): line[18:].split() for line in self.whole.stdout.splitlines()}
        self.assertEqual(lines[""], ["published", "obtained", "difference", "majority"])
        for name, figure in (("exact match at 0.5", "10.56"), ("micro-F1 at 0.2", "48.61"), ("argmax accuracy", "45.21")):
            published, obtained, difference, majority = lines[name]
            self.assertEqual(published, figure)
            self.assertAlmostEqual(float(obtained) - float(published), float(difference), delta=0.011)
            self.assertTrue(0 <= float(majority) <= 100)

    def test_the_run_says_what_it_was(self):
        result = json.loads(self.file("whole", "result.json"))
        self.assertEqual(result["epochs"], 3)
        self.assertEqual(result["arguments"]["model"], "autoencoder")
        self.assertEqual((result["train_images"], result["valid_images"], result["test_images"]), (400, 50, 50))
        report = self.file("whole", "report.html").decode()
        for words in ("Synthetic faces", "Autoencoder, multi-label", "micro-F1", "CPU, 2 threads"):
            self.assertIn(words, report)
        weights = self.file("whole", "weights/best.safetensors")
        metadata = json.loads(weights[8 : 8 + int.from_bytes(weights[:8], "little")])["__metadata__"]
        self.assertEqual(metadata["model"], "autoencoder_classifier")
        self.assertEqual(metadata["task"], "multi-label")
        self.assertEqual(metadata["activation"], "sigmoid")
        self.assertEqual(metadata["image_size"], "64")
        self.assertEqual(len(metadata["labels"].split(",")), 24)

    def test_the_leakage_of_both_splits(self):
        def share(text):
            return float(re.search(r"([\d.]+) % of the test images have an image of the same clip in train", text)[1])

        self.assertGreater(share(self.whole.stdout), 50)
        honest = self.train("honest", "--split", "by-clip", "--epochs", 1)
        self.assertEqual(honest.returncode, 0, honest.stderr)
        self.assertEqual(share(honest.stdout), 0)

    def test_the_same_seed_gives_the_same_files(self):
        self.assertEqual(self.train("again").returncode, 0)
        self.same_run("again")

    def test_an_interrupted_run_resumes_bit_for_bit(self):
        process = self.begin("interrupted")
        for line in process.stderr:
            if line.startswith("epoch 1/3"):  # the pre-training has one epoch
                break
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 130, errors)
        self.assertIn("--resume", errors)
        resumed = self.train("interrupted", "--resume")
        self.assertEqual(resumed.returncode, 0, resumed.stderr)
        self.same_run("interrupted")

    def test_a_killed_run_resumes_bit_for_bit(self):
        process = self.begin("killed", "--save-every", 2)
        for line in process.stderr:
            if line.startswith("epoch 1/1"):
                break
        chance = random.Random(7)
        time.sleep(chance.uniform(0.0, 0.2))
        process.kill()
        process.communicate()
        for _ in range(3):
            process = self.begin("killed", "--save-every", 2, "--resume")
            time.sleep(chance.uniform(0.2, 0.8))
            process.kill()
            process.communicate()
        resumed = self.train("killed", "--save-every", 2, "--resume")
        self.assertEqual(resumed.returncode, 0, resumed.stderr)
        for which in ("weights/best.safetensors", "results.csv"):
            self.assertEqual(self.file("killed", which), self.file("whole", which), which)

    def test_saved_weights_test_the_same(self):
        tested = self.train("whole", "--test-only")
        self.assertEqual(tested.returncode, 0, tested.stderr)
        table = self.whole.stdout[: self.whole.stdout.index("best epoch")]
        self.assertEqual(tested.stdout, table)

    def test_a_finished_run_is_not_overwritten_unasked(self):
        self.refused(*self.arguments("whole"), says=["holds a run"])

    def test_flags_that_cannot_be(self):
        self.refused("--modle", "conv_net", says=["--modle", "--model"])
        self.refused("--model", "vgg", says=["--model", "vgg", "autoencoder", "conv_net", "resnet50"])
        self.refused("--batch-size", "many", says=["--batch-size", "many"])
        self.refused("--batch-size", "0", says=["--batch-size"])
        self.refused("--data-path", says=["--data-path"])
        self.refused(says=["--data-path"])
        self.refused("--data-path", self.data, "--device", "cuda", says=["cuda"])
        self.refused("--data-path", self.data, "--device", "tpu", says=["tpu"])
        self.refused("--data-path", self.data, "--amp", says=["--amp", "bfloat16"])

    def test_data_that_cannot_be(self):
        self.refused("--data-path", "/nonexistent", says=["/nonexistent/tfrecords/multi-label_train.tfrecords"])
        self.refused(*self.arguments("large", "--batch-size", 4096), says=["4096", "360"])

    def test_weights_of_another_model(self):
        theirs = os.path.join(self.folder.name, "runs/multi-label/whole/weights/best.safetensors")
        self.refused("--data-path", self.data, "--model", "conv_net", "--test-only", "--test-weights", theirs,
                     says=["best.safetensors", "autoencoder_classifier", "conv_net"])

    def test_resuming_with_other_arguments(self):
        self.refused(*self.arguments("whole", "--resume", "--seed", 7), says=["seed"])

    def test_a_damaged_record(self):
        damaged = os.path.join(self.folder.name, "damaged")
        program("make_synthetic_kdrama", "--data-path", damaged, "--images", 500, "--sets", "multi-label")
        path = os.path.join(damaged, "tfrecords", "multi-label_test.tfrecords")
        with open(path, "r+b") as file:
            file.seek(1000)
            byte = file.read(1)
            file.seek(1000)
            file.write(bytes([byte[0] ^ 4]))
        arguments = ["--data-path", damaged, "--model", "autoencoder", "--epochs", 1, "--pretrain-epochs", 0,
                     "--output-dir", os.path.join(self.folder.name, "runs")]
        self.refused(*arguments, "--name", "d1", says=["multi-label_test.tfrecords", "record 0"])
        skipped = program("train_multilabel", *arguments, "--name", "d2", "--on-corrupt", "skip")
        self.assertEqual(skipped.returncode, 0, skipped.stderr)
        self.assertIn("test: 1 damaged records skipped", skipped.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
