#!/usr/bin/env python3
"""Keras' weights in kfer: the autoencoder from a TensorFlow checkpoint reconstructs random images as Keras does, and all
models from NumPy archives of get_weights(), one of them from a checkpoint too, compute what Keras computes.

usage: tf_checkpoint_test.py BUILD-DIRECTORY

KFER_TF_CHECKPOINT, the prefix of a checkpoint of the autoencoder (the published one): it is used instead of one made
here with random weights.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
try:
    import keras
    import numpy as np
    import tensorflow as tf
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "tools"))
from make_model_oracles import autoencoder_layers, keras_model

BUILD = os.path.abspath(sys.argv[1])
SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
random = np.random.default_rng(46)


def run(*command, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=600, **options)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr}"
    return done.stdout


def compare(what, source, model, tolerance):
    """Imports `source` and lets kfer compute what the Keras model computes of random images."""
    images = random.random((8, 64, 64, 3), dtype=np.float32)
    expected = model(images, training=False).numpy()
    with tempfile.TemporaryDirectory() as folder:
        run(f"{BUILD}/tools/import_weights", source, "-o", f"{folder}/weights.safetensors")
        nchw = expected.transpose(0, 3, 1, 2) if expected.ndim == 4 else expected
        np.savez(f"{folder}/case.npz", x=np.ascontiguousarray(images.transpose(0, 3, 1, 2)),
                 y=np.ascontiguousarray(nchw), tolerance=np.float32(tolerance))
        output = run(f"{BUILD}/tests/kfer_test_models", "--test-case=what other programs compute*",
                     env=dict(os.environ, KFER_PEER_CASE=folder))
    assert "largest difference" in output, output
    line = next(line for line in output.splitlines() if "largest difference" in line)
    print(f"{what}: {line} from Keras {keras.__version__}, of outputs to {np.abs(expected).max():.3g}")


def save(prefix, names):
    """A checkpoint of {name without suffix: array}, and of the optimiser's steps."""
    names = {"optimizer/iter": np.int64(7), **names}
    tf.raw_ops.SaveV2(prefix=prefix, tensor_names=[name + SUFFIX for name in names], shape_and_slices=[""] * len(names),
                      tensors=[tf.constant(value) for value in names.values()])
    return prefix


def checkpoint(folder):
    """A checkpoint of the autoencoder with random weights, named as TensorFlow 2's Keras named them."""
    names = {}
    for index in range(7):
        outputs, inputs = (3, 32) if index == 6 else (32, 3 if index == 0 else 32)
        names[f"layer_with_weights-{index}/kernel"] = random.normal(0, 0.1, (3, 3, inputs, outputs)).astype("f")
        names[f"layer_with_weights-{index}/bias"] = random.normal(0, 0.1, outputs).astype("f")
    return save(f"{folder}/autoencoder.ckpt", names)


def nested(prefix, weights):
    """A checkpoint of tf.train.Checkpoint(model=...) of the classifier, whose first layer is the autoencoder."""
    layers = [f"layer_with_weights-0/layer_with_weights-{i}" for i in range(7)]
    layers += ["layer_with_weights-1", "layer_with_weights-2"]
    names = {f"model/{layers[i // 2]}/{'bias' if i % 2 else 'kernel'}": weight for i, weight in enumerate(weights)}
    return save(prefix, names)


def loaded(prefix):
    """The Keras autoencoder with a checkpoint's weights, read by TensorFlow."""
    reader = tf.train.load_checkpoint(prefix)
    body = list(autoencoder_layers())
    model = keras.Sequential([keras.Input((64, 64, 3)), *body])
    for index, layer in enumerate(layer for layer in body if layer.weights):
        layer.set_weights([reader.get_tensor(f"layer_with_weights-{index}/{kind}{SUFFIX}") for kind in ("kernel", "bias")])
    return model


with tempfile.TemporaryDirectory() as folder:
    published = os.environ.get("KFER_TF_CHECKPOINT")
    prefix = published or checkpoint(folder)
    compare("published checkpoint" if published else "checkpoint with random weights", prefix, loaded(prefix), 1e-5)

    for name, classes in (("autoencoder", 0), ("autoencoder_classifier", 6), ("conv_net", 24), ("resnet50", 22)):
        keras.utils.clear_session()
        keras.utils.set_random_seed(46)
        model, _ = keras_model(name, classes)
        weights = model.get_weights()
        for i, weight in enumerate(weights):  # biases and batch norms off their first values
            if weight.ndim == 1:
                weights[i] = weight + random.uniform(-0.1, 0.1, weight.shape).astype("f")
        model.set_weights(weights)
        np.savez(f"{folder}/{name}.npz", *weights)
        compare(f"{name}, get_weights()", f"{folder}/{name}.npz", model, 1e-5 if name == "autoencoder" else 1e-4)
        if name == "autoencoder_classifier":
            compare(f"{name}, checkpoint", nested(f"{folder}/nested", weights), model, 1e-4)
        if name == "resnet50":
            backbone = model.layers[0]
            np.savez(f"{folder}/backbone.npz", *backbone.get_weights())
            compare("its backbone, get_weights()", f"{folder}/backbone.npz", backbone, 1e-4)
