#!/usr/bin/env python3
"""Keras' HDF5 files in kfer: ResNet50 and the published models, built by the published notebooks' recipe, saved by Keras
in every layout, converted by import_weights; kfer then computes of random images what Keras does.

usage: keras_test.py BUILD-DIRECTORY

Needs TensorFlow with Keras 3; files of Keras 2, the layout of the published ImageNet weights, need tf_keras as well.
KFER_RESNET50_H5, resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5: its weights are compared, too.
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
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)
try:
    import tf_keras
except ImportError:
    tf_keras = None
    print("no tf_keras: files of Keras 2 are not tried")

BUILD = os.path.abspath(sys.argv[1])
IMAGES, TOLERANCE = 4, 1e-4
random = np.random.default_rng(46)


def run(*command, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=600, **options)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr}"
    return done.stdout


def resnet50(library):
    return library.applications.ResNet50(weights=None, include_top=False, input_shape=(64, 64, 3), pooling="avg")


def resnet50_classifier(library):
    layers, base = library.layers, resnet50(library)
    for layer in base.layers[:120]:
        layer.trainable = False
    return library.Sequential([base, layers.Dense(6), layers.Dropout(0.5), layers.Dense(6)])


def autoencoder(library):
    layers = library.layers
    x = image = library.Input((64, 64, 3))
    for _ in range(3):
        x = layers.Conv2D(32, 3, activation="relu", padding="same")(x)
        x = layers.MaxPooling2D(2, padding="same")(x)
    for _ in range(3):
        x = layers.Conv2DTranspose(32, 3, activation="relu", padding="same")(x)
        x = layers.UpSampling2D(2)(x)
    return library.Model(image, layers.Conv2D(3, 3, activation="sigmoid", padding="same")(x))


def autoencoder_classifier(library):
    layers = library.layers
    head = [layers.Flatten(), layers.Dense(22, "relu"), layers.Dropout(0.5), layers.Dense(22)]
    return library.Sequential([autoencoder(library), *head])


def conv_net(library):
    layers, body = library.layers, [library.Input((64, 64, 3))]
    for filters in (128, 64, 32):
        body += [layers.Conv2D(filters, 5, activation="relu", padding="same"), layers.Dropout(0.5)]
    return library.Sequential([*body, layers.Flatten(), layers.Dense(24)])


def randomise(model):
    """Biases and batch norms off their first values; variances stay positive."""
    model.set_weights([w + random.uniform(-0.1, 0.1, w.shape).astype("f") if w.ndim == 1 and w.dtype.kind == "f" else w
                       for w in model.get_weights()])


def compare(what, path, model):
    """kfer's output, of the weights in `path`, against the model's."""
    images = random.random((IMAGES, 64, 64, 3), dtype=np.float32)
    expected = np.asarray(model(images, training=False))
    with tempfile.TemporaryDirectory() as folder:
        report = run(f"{BUILD}/tools/import_weights", path, "-o", f"{folder}/weights.safetensors")
        nchw = expected.transpose(0, 3, 1, 2) if expected.ndim == 4 else expected
        np.savez(f"{folder}/case.npz", x=np.ascontiguousarray(images.transpose(0, 3, 1, 2)),
                 y=np.ascontiguousarray(nchw), tolerance=np.float32(TOLERANCE))
        output = run(f"{BUILD}/tests/kfer_test_models", "--test-case=what other programs compute*",
                     env=dict(os.environ, KFER_PEER_CASE=folder))
    line = next((line for line in output.splitlines() if "largest difference" in line), None)
    assert line, output
    print(f"{what}: {line}, of outputs to {np.abs(expected).max():.3g}; {report.splitlines()[-1].split(': ', 1)[1]}")


def main():
    models = dict(resnet50=resnet50, resnet50_classifier=resnet50_classifier, autoencoder=autoencoder,
                  autoencoder_classifier=autoencoder_classifier, conv_net=conv_net)
    with tempfile.TemporaryDirectory() as folder:
        for name, build in models.items():
            for library in filter(None, (keras, tf_keras)):
                library.utils.set_random_seed(46)
                model = build(library)
                randomise(model)
                version = library.__version__.split(".")[0]
                if library is keras:
                    files = [(f"{folder}/x.weights.h5", model.save_weights), (f"{folder}/x.h5", model.save)]
                else:
                    files = [(f"{folder}/x.h5", lambda path: model.save_weights(path, save_format="h5")),
                             (f"{folder}/whole.h5", model.save)]
                for path, save in files:
                    save(path)
                    compare(f"{name}, Keras {version}, {save.__name__.replace('<lambda>', 'save_weights')}"
                            f"({os.path.basename(path)})", path, model)
                    os.remove(path)

        # With its top, ResNet50 has a dense layer that kfer's has not.
        library = tf_keras or keras
        model = library.applications.ResNet50(weights=None)
        path = f"{folder}/top.h5" if tf_keras else f"{folder}/top.weights.h5"
        model.save_weights(path)
        body = resnet50(library)
        body.set_weights(model.get_weights()[:-2])
        compare("resnet50 with top", path, body)
    published = os.environ.get("KFER_RESNET50_H5")
    if published:
        library = tf_keras or keras
        model = resnet50(library)
        model.load_weights(published)
        compare("resnet50, published weights", published, model)
    print("all agree")


if __name__ == "__main__":
    main()
