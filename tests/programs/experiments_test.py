#!/usr/bin/env python3
"""The other experiments from outside: 6 and 22 classes, the autoencoder's pre-training, and all of them in one report.

usage: experiments_test.py DIRECTORY-OF-PROGRAMS
"""

import csv
import json
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAMS = os.path.abspath(sys.argv.pop(1))
ENVIRONMENT = dict(os.environ, OMP_NUM_THREADS="2", OMP_WAIT_POLICY="passive")


class Experiments(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        made = cls.program("make_synthetic_kdrama", "--data-path", "kdrama", "--images", 500)
        assert made.returncode == 0, made.stderr

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def program(cls, name, *arguments):
        return subprocess.run([os.path.join(PROGRAMS, name), *map(str, arguments)], capture_output=True, text=True,
                              env=ENVIRONMENT, timeout=400, cwd=cls.folder.name)

    def path(self, *parts):
        return os.path.join(self.folder.name, *parts)

    def read(self, *parts):
        with open(self.path(*parts), "rb") as file:
            return file.read()

    def metadata(self, *parts):
        content = self.read(*parts)
        return json.loads(content[8 : 8 + struct.unpack("<Q", content[:8])[0]])["__metadata__"]

    def refused(self, name, *arguments, says):
        result = self.program(name, *arguments)
        lines = [line for line in result.stderr.splitlines() if line.startswith(name + ": ")]
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertEqual(len(lines), 1, result.stderr)
        for word in says:
            self.assertIn(word, lines[0])

    def multiclass(self, *arguments):
        result = self.program("train_multiclass", "--data-path", "kdrama", "--epochs", 1, "--batch-size", 32, "--lr", "1e-3",
                              "--pretrain-epochs", 1, *arguments)
        self.assertEqual(result.returncode, 0, result.stderr)
        row = re.search(r"^accuracy(.*)$", result.stdout, re.MULTILINE)[1].split()
        return [float(figure) for figure in row]

    def test_the_published_recipe(self):
        def defaults(name, *arguments):
            result = self.program(name, *arguments, "--help")
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            return {flag: value for flag, value in re.findall(r"--([a-z0-9-]+) .*\[(\S+)\]$", result.stdout, re.MULTILINE)}

        classifier = {"batch-size": 64, "epochs": 1000, "patience": 10, "lr": 1e-5, "lr-decay": 0.95, "lr-decay-epochs": 10,
                      "epsilon": 1e-7, "pretrain-epochs": 100, "pretrain-lr": 1e-3, "pretrain-seed": 42, "seed": 46}
        autoencoder = {"batch-size": 64, "epochs": 100, "lr": 1e-3, "epsilon": 1e-7, "noise": 0.1, "seed": 42}
        for name, recipe, words in (
                ("train_multilabel", classifier | {"kernel": 5}, {"split": "published", "freeze": "published"}),
                ("train_multiclass", classifier | {"kernel": 3}, {"split": "published", "freeze": "published", "class-weights": "auto"}),
                ("pretrain_autoencoder", autoencoder, {"split": "published", "set": "multi-label"})):
            found = defaults(name)
            self.assertEqual({flag: float(found[flag]) for flag in recipe}, recipe)
            self.assertEqual({flag: found[flag] for flag in words}, words)
            self.assertNotIn("augment", found)

    def test_6_classes(self):
        published, obtained, difference, majority = self.multiclass("--task", 6, "--model", "conv_net")
        self.assertEqual(published, 72.93)
        self.assertAlmostEqual(obtained - published, difference, delta=0.011)
        self.assertGreater(majority, 30)
        self.assertEqual(self.metadata("runs/6_basic_emo/conv_net/weights/best.safetensors"),
                         self.metadata("runs/6_basic_emo/conv_net/weights/best.safetensors") |
                         {"model": "conv_net", "task": "6_basic_emo", "activation": "softmax", "kernel": "3",
                          "labels": "angry,disgusted,surprised,fearful,happy,sad"})
        # The published class weights are on: without them the same run has another loss.
        self.multiclass("--task", 6, "--model", "conv_net", "--class-weights", "none", "--name", "unweighted")
        def loss(name):
            with open(self.path("runs/6_basic_emo", name, "results.csv")) as file:
                return float(next(csv.DictReader(file))["loss"])

        self.assertNotAlmostEqual(loss("conv_net"), loss("unweighted"), delta=0.01)

    def test_22_classes(self):
        self.assertEqual(self.multiclass("--task", 22, "--model", "autoencoder")[0], 60.56)
        self.assertEqual(self.multiclass("--task", 22, "--model", "resnet50")[0], 83.69)
        report = self.read("runs/22_emo/resnet50/report.html").decode()
        self.assertIn("random numbers", report)  # and not ImageNet: nobody gave weights

    def test_a_backbone_of_torchvision(self):
        tools = os.path.join(os.path.dirname(PROGRAMS), "tools")
        listed = subprocess.run([os.path.join(tools, "export_onnx"), "--model", "resnet50", "--form", "torchvision", "--list"],
                                capture_output=True, text=True, check=True, env=ENVIRONMENT).stdout
        header, size = {"__metadata__": {"model": "resnet50"}}, 0
        for name, shape in re.findall(r"^(\S+) +(\[.*\])$", listed, re.MULTILINE):
            count = 1
            for extent in json.loads(shape):
                count *= extent
            header[name] = {"dtype": "F32", "shape": json.loads(shape), "data_offsets": [size, size + 4 * count]}
            size += 4 * count
        self.assertEqual(len(header) - 1, 265)  # 53 convolutions without biases, 53 batch norms of four
        encoded = json.dumps(header).encode()
        with open(self.path("imagenet.safetensors"), "wb") as file:
            file.write(struct.pack("<Q", len(encoded)) + encoded)
            file.truncate(8 + len(encoded) + size)  # zeros
        run = self.program("train_multiclass", "--data-path", "kdrama", "--task", 6, "--model", "resnet50", "--epochs", 1, "--limit",
                           64, "--weights", "imagenet.safetensors", "--name", "transfer")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertNotIn("random numbers", run.stderr)
        self.assertIn("imagenet.safetensors", self.read("runs/6_basic_emo/transfer/report.html").decode())
        tested = self.program("train_multiclass", "--data-path", "kdrama", "--task", 6, "--model", "resnet50", "--name", "transfer",
                              "--test-only")
        self.assertEqual(tested.returncode, 0, tested.stderr)

    def test_pretraining_and_what_it_is_for(self):
        flags = ["--data-path", "kdrama", "--batch-size", 32]
        trained = self.program("pretrain_autoencoder", *flags, "--epochs", 2)
        self.assertEqual(trained.returncode, 0, trained.stderr)
        weights = "runs/pretrain/autoencoder/weights/best.safetensors"
        self.assertEqual(self.metadata(weights)["model"], "autoencoder")
        self.assertTrue(self.read("runs/pretrain/autoencoder/reconstructions.png").startswith(b"\x89PNG"))
        report = self.read("runs/pretrain/autoencoder/report.html").decode()
        for words in ("Reconstruction", "Denoising", "PSNR"):
            self.assertIn(words, report)
        strips = re.findall(r'<div class="strip">(.*?)</div>', report, re.DOTALL)
        self.assertEqual([strip.count("<figure>") for strip in strips], [2] * 32)  # pairs, that do not wrap
        shown = self.program("pretrain_autoencoder", *flags, "--test-only", "--test-weights", weights)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertEqual(shown.stdout.splitlines()[0], trained.stdout.splitlines()[0])
        equal = self.program("pretrain_autoencoder", *flags, "--noise", 0, "--test-only", "--test-weights", weights)
        self.assertEqual(equal.returncode, 0, equal.stderr)
        self.assertIn(" inf dB of images under noise", equal.stdout)
        used = self.program("train_multiclass", *flags, "--task", 6, "--model", "autoencoder", "--epochs", 1, "--autoencoder",
                            weights, "--name", "from-pretrained")
        self.assertEqual(used.returncode, 0, used.stderr)
        self.assertFalse(os.path.exists(self.path("runs/6_basic_emo/from-pretrained/pretrain")))

    def test_an_overwritten_run_that_is_interrupted_in_its_pretraining(self):
        flags = ["train_multiclass", "--data-path", "kdrama", "--task", 6, "--model", "autoencoder", "--batch-size", 32,
                 "--epochs", 1, "--pretrain-epochs", 4, "--name", "over"]
        run = "runs/6_basic_emo/over"
        first = self.program(*flags)
        self.assertEqual(first.returncode, 0, first.stderr)
        kept, seconds = self.read(run, "weights/best.safetensors"), json.loads(self.read(run, "result.json"))["train_seconds"]

        again = [os.path.join(PROGRAMS, flags[0]), *map(str, flags[1:]), "--overwrite=true"]
        process = subprocess.Popen(again, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT,
                                   cwd=self.folder.name)
        for line in process.stderr:
            if line.startswith("epoch 1/4"):
                break
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 130, errors)
        for file in ("state.safetensors", "result.json", "weights/best.safetensors"):
            self.assertFalse(os.path.exists(self.path(run, file)), file)
        command = re.search(r"^continue with: (.*)$", errors, re.MULTILINE)[1]
        self.assertNotIn("--overwrite", command)
        resumed = subprocess.run(command, shell=True, capture_output=True, text=True, env=ENVIRONMENT, cwd=self.folder.name)
        self.assertEqual(resumed.returncode, 0, resumed.stderr)
        self.assertIn("epoch 4/4", resumed.stderr)
        self.assertEqual(self.read(run, "weights/best.safetensors"), kept)
        self.assertIn("training time since the run was resumed", self.read(run, "report.html").decode())

        # The time of training has that of the pre-training in it, unless it was elsewhere: the report says so then.
        elsewhere = self.program(*flags[:-1], "elsewhere", "--autoencoder", run + "/pretrain/weights/best.safetensors")
        self.assertEqual(elsewhere.returncode, 0, elsewhere.stderr)
        self.assertGreater(seconds, 2 * json.loads(self.read("runs/6_basic_emo/elsewhere/result.json"))["train_seconds"])
        self.assertIn("training time, without pre-training", self.read("runs/6_basic_emo/elsewhere/report.html").decode())

    def test_a_limit_is_of_all_that_is_said_of_training_images(self):
        self.multiclass("--task", 6, "--model", "conv_net", "--name", "all")
        self.multiclass("--task", 6, "--model", "conv_net", "--name", "few", "--limit", 40)
        results = [json.loads(self.read("runs/6_basic_emo", name, "result.json")) for name in ("all", "few")]
        self.assertEqual(results[1]["train_images"], 40)
        self.assertLess(results[1]["leakage"], results[0]["leakage"])

    def test_augmentation_changes_training_and_says_what_it_knows(self):
        self.multiclass("--task", 6, "--model", "conv_net", "--name", "plain")
        self.multiclass("--task", 6, "--model", "conv_net", "--name", "augmented", "--augment", "flip,crop,colour,erase")
        self.assertNotEqual(self.read("runs/6_basic_emo/plain/results.csv"), self.read("runs/6_basic_emo/augmented/results.csv"))
        self.refused("train_multiclass", "--data-path", "kdrama", "--augment", "rotate", says=["rotate", "flip"])

    def test_flags_that_cannot_be(self):
        self.refused("train_multiclass", "--data-path", "kdrama", "--task", "7", says=["--task", "7", "6 or 22"])
        self.refused("train_multiclass", "--data-path", "kdrama", "--model", "resnet50", "--weights", "none.safetensors",
                     says=["none.safetensors"])
        self.refused("train_multiclass", "--data-path", "kdrama", "--weights", "w.safetensors", says=["--weights", "resnet50", "conv_net"])
        self.refused("train_multilabel", "--data-path", "kdrama", "--model", "resnet50", "--autoencoder", "w.safetensors",
                     says=["--autoencoder", "resnet50"])
        self.refused("train_multilabel", "--data-path", "kdrama", "--kernel", 4, says=["--kernel", "odd", "4"])
        self.refused("train_multilabel", "--data-path", "kdrama", "--model", "autoencoder", "--resume", "--name", "none",
                     says=["none/pretrain", "holds no run"])
        self.refused("train_multilabel", "--data-path", "kdrama", "--model", "autoencoder", "--pretrain-epochs", 0, "--resume",
                     "--name", "none", says=["none", "holds no run"])
        for name in ("train_multilabel", "pretrain_autoencoder"):
            self.refused(name, "--data-path", "kdrama", "--test-weights", "w.safetensors", says=["--test-weights", "--test-only"])
        self.refused("make_synthetic_kdrama", says=["--data-path"])
        self.refused("make_synthetic_kdrama", "--data-path", "d", "--images", "many", says=["--images", "many"])
        self.refused("make_synthetic_kdrama", "--data-path", "d", "--sets", "7_emo", says=["7_emo", "multi-label"])
        self.assertFalse(os.path.exists(self.path("d")))
        os.makedirs(self.path("photographs/label"))
        with open(self.path("photographs/label/label_22_emo_test.csv"), "w") as file:
            file.write("img_id,clip_id\n")
        self.refused("make_synthetic_kdrama", "--data-path", "photographs", "--images", 500, says=["label_22_emo_test.csv", "overwritten"])
        self.assertEqual(self.read("photographs/label/label_22_emo_test.csv"), b"img_id,clip_id\n")
        self.refused("pretrain_autoencoder", "--data-path", "/nonexistent", says=["/nonexistent"])
        self.refused("reproduce", "--splits", "by-clip,by-clip", says=["--splits", "by-clip", "twice"])
        self.refused("reproduce", "--tasks", "6,23", says=["--tasks", "23", "multi-label"])
        self.refused("reproduce", "--data-path", "/nonexistent", says=["/nonexistent"])
        self.refused("train_multilabel", "--data-path", "kdrama", "-b", 2**63 - 1, says=["--batch-size", "65536"])
        # Before anything is drawn or trained.
        header = json.dumps({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
        with open(self.path("x.safetensors"), "wb") as file:
            file.write(struct.pack("<Q", len(header)) + header + b"\0\0\0\0")
        for wrong, says in ((["--weights", "none.safetensors"], ["none.safetensors"]),
                            (["--weights", "x.safetensors"], ["x.safetensors", "not of resnet50"]),
                            (["--weights", "x.safetensors", "--models", "conv_net"], ["--weights", "--models"]),
                            (["--augment", "rotate"], ["rotate", "flip"]), (["--amp"], ["--amp", "bfloat16"])):
            self.refused("reproduce", "--output-dir", "unmade", *wrong, says=says)
        self.assertFalse(os.path.exists(self.path("unmade")))

    def test_reproduce_goes_on_where_it_was(self):
        flags = ["--images", 500, "--models", "autoencoder", "--output-dir", "all"]
        tables = lambda text: text[text.index("Table 1") : text.index("report: ")]
        process = subprocess.Popen([os.path.join(PROGRAMS, "reproduce"), *map(str, flags), "--tasks", "6,multi-label"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT,
                                   cwd=self.folder.name)
        for line in process.stdout:
            if line.startswith("[2/4]"):
                break
        time.sleep(0.3)
        process.kill()
        process.communicate()
        finished = self.program("reproduce", *flags, "--tasks", "6,multi-label")
        self.assertEqual(finished.returncode, 0, finished.stderr)
        self.assertIn("[1/4] Autoencoder, 6-class, published split, seed 46: finished before", finished.stdout)
        self.assertIn("SYNTHETIC", finished.stdout)
        for title in ("Table 1. Images, published split", "Table 2.", "Table 3.", "by-clip split"):
            self.assertIn(title, finished.stdout)
        report = self.read("all/report.html").decode()
        self.assertNotIn("ResNet50", report)
        links = re.findall(r'href="([^"#]+)"', report)
        self.assertEqual(len(links), 4)
        for link in links:
            self.assertTrue(os.path.exists(self.path("all", link)), link)
        again = self.program("reproduce", *flags, "--tasks", "6,multi-label")
        self.assertEqual(again.stdout.count("finished before"), 4)
        self.assertEqual(tables(again.stdout), tables(finished.stdout))

        two = self.program("reproduce", *flags, "--tasks", "6", "--splits", "published", "--seeds", 2)
        self.assertEqual(two.returncode, 0, two.stderr)
        self.assertEqual(two.stdout.count("finished before"), 1)
        with open(self.path("all/figures.csv")) as file:
            rows = list(csv.DictReader(file))
        leakage = [float(row["value"]) for row in rows if row["figure"] == "leakage_percent"]
        self.assertTrue(len(leakage) == 2 and min(leakage) > 50, leakage)
        # The table's mean and deviation are those of the figures.
        first, second = (100 * float(row["value"]) for row in rows if row["figure"] == "accuracy")
        row = re.search(r"^Autoencoder, 6 classes(.*)$", two.stdout, re.MULTILINE)[1].split()
        self.assertAlmostEqual(float(row[1]), (first + second) / 2, delta=0.006)
        self.assertAlmostEqual(float(row[3]), abs(first - second) / 2**0.5, delta=0.006)

    def test_reproduce_knows_runs_by_what_they_hold(self):
        flags = ["--images", 500, "--models", "autoencoder", "--tasks", "6", "--splits", "published"]
        first = self.program("reproduce", *flags, "--output-dir", "here")
        self.assertEqual(first.returncode, 0, first.stderr)
        tables = lambda text: text[text.index("Table 1") : text.index("report: ")]

        # Moved, with the images and the autoencoder in it.
        os.rename(self.path("here"), self.path("there"))
        moved = self.program("reproduce", *flags, "--output-dir", "there")
        self.assertEqual(moved.returncode, 0, moved.stderr)
        self.assertIn("finished before", moved.stdout)
        self.assertEqual(tables(moved.stdout), tables(first.stdout))

        # What cannot be read is made again of the run's state, and comes out the same.
        kept = self.read("there/6_basic_emo/autoencoder/result.json")
        for damaged in (kept[: len(kept) // 2], b"", b"[]", kept.replace(b'"test_loss": ', b'"test_loss": "low", "x": ')):
            with open(self.path("there/6_basic_emo/autoencoder/result.json"), "wb") as file:
                file.write(damaged)
            again = self.program("reproduce", *flags, "--output-dir", "there")
            self.assertEqual(again.returncode, 0, again.stderr)
            self.assertIn("result.json' is damaged", again.stderr)
            self.assertNotIn("epoch 1/", again.stderr)  # nothing is trained
            self.assertEqual(tables(again.stdout), tables(first.stdout))
        report = self.read("there/6_basic_emo/autoencoder/report.html").decode()
        self.assertIn("training time since the run was resumed", report)

        # The same labels, other pictures: not the run that is there.
        self.program("make_synthetic_kdrama", "--data-path", "lossless", "--images", 500, "--png")
        labels = "label/label_6_basic_emo_train.csv"
        self.assertEqual(self.read("lossless", labels), self.read("there/kdrama-synthetic-500-46", labels))
        lossless = self.program("reproduce", *flags, "--output-dir", "there", "--data-path", "lossless")
        self.assertEqual(lossless.returncode, 2, lossless.stdout + lossless.stderr)
        self.assertIn("began with other arguments: files was", lossless.stderr)

        # As many other images: not the run that is there.
        self.program("make_synthetic_kdrama", "--data-path", "other", "--images", 500, "--seed", 7)
        other = self.program("reproduce", *flags, "--output-dir", "there", "--data-path", "other")
        self.assertEqual(other.returncode, 2, other.stdout + other.stderr)
        self.assertIn("began with other arguments: files was", other.stderr)
        instead = self.program("reproduce", *flags, "--output-dir", "there", "--data-path", "other", "--overwrite")
        self.assertEqual(instead.returncode, 0, instead.stderr)
        self.assertNotIn("finished before", instead.stdout)
        self.assertNotEqual(json.loads(self.read("there/6_basic_emo/autoencoder/result.json"))["test_loss"], json.loads(kept)["test_loss"])

    def test_an_output_that_takes_nothing(self):
        with open("/dev/full", "wb") as full:
            result = subprocess.run([os.path.join(PROGRAMS, "train_multilabel"), "--help"], stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual(result.returncode, 2)
        self.assertEqual(result.stderr, "train_multilabel: cannot write to standard output: No space left on device\n")


if __name__ == "__main__":
    unittest.main(verbosity=2)
