#!/usr/bin/env python3
"""ONNX models of every network of kfer: checked by the onnx package, run by ONNX Runtime, compared with kfer.

usage: onnx_test.py BUILD-DIRECTORY

Weights are random, of the names and shapes that export_onnx lists; what kfer answers to random images comes from
its --sample. Exits with 77 where onnx, onnxruntime or numpy is missing.
"""

import os
import subprocess
import sys
import tempfile
import unittest

try:
    import numpy
    import onnx
    import onnxruntime
except ImportError as error:
    print(f"skipped: {error.name} is not installed")
    sys.exit(77)

from random_weights import write_weights

BUILD = sys.argv.pop(1)
PROGRAM, TESTS_OF_NN = (os.path.join(BUILD, *path) for path in (("tools", "export_onnx"), ("tests", "kfer_test_nn")))
ENVIRONMENT = dict(os.environ, OMP_NUM_THREADS="2", OMP_WAIT_POLICY="passive")
BATCHES = (1, 3, 7)
TOLERANCE = 1e-4


def export_onnx(*arguments):
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, env=ENVIRONMENT, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


class Onnx(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.weights, self.model, self.sample = (
            os.path.join(folder.name, name) for name in ("weights.safetensors", "model.onnx", "sample.npz"))

    def export(self, metadata, architecture, *more):
        write_weights(self.weights, PROGRAM, metadata, *architecture)
        export_onnx(self.weights, "-o", self.model, "--sample", self.sample, "--sample-batch", max(BATCHES), *more)

    def check(self, output, shape):
        """The model of a network of images is valid, its shapes are inferred, and its answers are kfer's."""
        return self.check_files(self.model, self.sample, "image", output, shape)

    def check_files(self, model_path, sample_path, input, output, shape=None):
        onnx.checker.check_model(model_path, full_check=True)
        written = onnx.load(model_path)
        with open(model_path, "rb") as file:
            self.assertEqual(file.read(), written.SerializeToString(deterministic=True))
        model = onnx.shape_inference.infer_shapes(written, check_type=True, strict_mode=True)
        with numpy.load(sample_path) as sample:
            images, expected = sample[input], sample[output]
        for port, array in ((model.graph.input[0], images), (model.graph.output[0], expected)):
            dimensions = [d.dim_param or d.dim_value for d in port.type.tensor_type.shape.dim]
            self.assertEqual(dimensions, ["N", *array.shape[1:]])
        self.assertEqual(len(images), max(BATCHES))
        self.assertIn(shape, (None, list(expected.shape[1:])))
        self.assertTrue(numpy.isfinite(expected).all())
        self.assertGreater(expected.std(0).max(), 1e-3, "all images get the same answer")
        runtime = session(model_path)
        worst = 0
        for n in BATCHES:
            (got,) = runtime.run([output], {input: images[:n]})
            numpy.testing.assert_allclose(got, expected[:n], rtol=TOLERANCE, atol=TOLERANCE)
            worst = max(worst, numpy.max(numpy.abs(got - expected[:n]) / (1 + numpy.abs(expected[:n]))))
        print(f"{self.id().split('.')[-1]} {written.graph.name}: {len(model.graph.node)} nodes, largest difference {worst:.1e}", flush=True)
        return model, images, expected

    def test_small_networks_of_all_operations(self):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([TESTS_OF_NN, "--test-case=small networks of all operations*,a folded network*"], capture_output=True,
                                  text=True, env=dict(ENVIRONMENT, KFER_ONNX_NETWORKS=folder), timeout=300)
            self.assertEqual(done.returncode, 0, done.stdout)
            names = sorted(name[:-len(".onnx")] for name in os.listdir(folder) if name.endswith(".onnx"))
            self.assertEqual(names, ["elementwise", "folded", "layers", "shapes", "shared"])
            for name in names:
                with self.subTest(name):
                    path = os.path.join(folder, name)
                    self.check_files(path + ".onnx", path + ".npz", "input", "output")

    def test_autoencoder(self):
        self.export({"model": "autoencoder"}, ["--model", "autoencoder"])
        self.check("reconstruction", [3, 64, 64])

    def test_autoencoder_of_other_images(self):
        self.export({"model": "autoencoder", "image_size": "40"}, ["--model", "autoencoder"])
        self.check("reconstruction", [3, 40, 40])

    def test_autoencoder_classifier(self):
        self.export({"model": "autoencoder_classifier", "activation": "softmax", "task": "22_emo"},
                    ["--model", "autoencoder_classifier", "--classes", 22])
        self.check("probabilities", [22])

    def test_autoencoder_classifier_of_other_images(self):
        self.export({}, ["--model", "autoencoder_classifier", "--classes", 5, "--image-size", 32])
        self.check("logits", [5])

    def test_conv_net_3x3(self):
        self.export({"model": "conv_net", "activation": "softmax"},
                    ["--model", "conv_net", "--classes", 6, "--kernel", 3])
        model, _, _ = self.check("probabilities", [6])
        self.assertEqual(model.graph.node[-1].op_type, "Softmax")

    def test_conv_net_5x5(self):
        labels = ",".join(f"label{i}" for i in range(24))
        self.export({"model": "conv_net", "activation": "sigmoid", "task": "multi-label", "labels": labels},
                    ["--model", "conv_net", "--classes", 24])
        model, _, _ = self.check("probabilities", [24])
        self.assertEqual([node.op_type for node in model.graph.node],
                         ["Conv", "Relu", "Conv", "Relu", "Conv", "Relu", "Flatten", "Gemm", "Sigmoid"])
        properties = {entry.key: entry.value for entry in model.metadata_props}
        self.assertEqual(properties["labels"], labels)
        self.assertEqual(properties["task"], "multi-label")
        self.assertEqual(properties["activation"], "sigmoid")
        self.assertEqual(properties["kfer_version"], model.producer_version)
        self.assertEqual((model.producer_name, model.ir_version, model.opset_import[0].version), ("kfer", 8, 17))

    def test_an_activation_asked_for(self):
        self.export({"model": "conv_net", "activation": "sigmoid"},
                    ["--model", "conv_net", "--classes", 3, "--kernel", 3, "--image-size", 16], "--activation", "none")
        self.check("logits", [3])

    def test_resnet18(self):
        self.export({"model": "resnet18"}, ["--model", "resnet18"], "--image-size", 96)
        self.check("features", [512])

    def test_resnet50_of_keras(self):
        self.export({"model": "resnet50"}, ["--model", "resnet50", "--form", "keras"])
        model, _, _ = self.check("features", [2048])
        self.assertEqual(self.strides_of(model, "layer2.0"), [[2, 2], [1, 1]])
        self.assertNotIn("BatchNormalization", self.operators(model))

    def test_batch_norms_are_kept_where_asked_for(self):
        for form in ("keras", "torchvision"):
            with self.subTest(form):
                self.export({"model": "resnet50"}, ["--model", "resnet50", "--form", form], "--keep-batch-norm")
                model, _, _ = self.check("features", [2048])
                self.assertEqual(self.operators(model).count("BatchNormalization"), 53)

    def test_resnet50_of_torchvision(self):
        self.export({"model": "resnet50"}, ["--model", "resnet50", "--form", "torchvision"])
        model, _, _ = self.check("features", [2048])
        self.assertEqual(self.strides_of(model, "layer2.0"), [[1, 1], [2, 2]])

    def test_resnet50_classifier_of_keras(self):
        self.export({"model": "resnet50_classifier", "activation": "sigmoid"},
                    ["--model", "resnet50_classifier", "--classes", 24])
        self.check("probabilities", [24])

    def test_resnet50_classifier_of_torchvision(self):
        self.export({"model": "resnet50_classifier"},
                    ["--model", "resnet50_classifier", "--classes", 7, "--form", "torchvision"], "--image-size", 96)
        self.check("logits", [7])

    @staticmethod
    def operators(model):
        return [node.op_type for node in model.graph.node]

    @staticmethod
    def strides_of(model, block):
        """Of the first two convolutions of a bottleneck."""
        return [list(attribute.ints) for layer in ("conv1", "conv2") for node in model.graph.node
                if node.name == f"{block}.{layer}" for attribute in node.attribute if attribute.name == "strides"]

    def test_the_comparison_sees_a_changed_weight(self):
        self.export({"model": "autoencoder"}, ["--model", "autoencoder"])
        model, images, expected = self.check("reconstruction", [3, 64, 64])
        for weight in model.graph.initializer:
            if weight.name == "decoder.conv1.weight":  # square: transposed, it still fits
                values = onnx.numpy_helper.to_array(weight).swapaxes(0, 1)
                weight.raw_data = numpy.ascontiguousarray(values).tobytes()
        (got,) = session(model.SerializeToString()).run(None, {"image": images})
        self.assertGreater(numpy.max(numpy.abs(got - expected)), 10 * TOLERANCE)


if __name__ == "__main__":
    unittest.main(verbosity=0)
