"""Makes tests/data/models/keras.safetensors and keras_layers.csv: what the real Keras models compute from weights
given by a formula, and which weights their layers have.

    python3 tools/make_keras_oracles.py      needs TensorFlow with Keras 3

Nothing large is stored. Weight number w of a model, counted over its layers in Keras' order, is stream w of seed 47
of the Philox generator (tools/philox.py), in Keras' layout, with u its uniform floats in row-major order and every
product in double, rounded to float32 at the end: kernels (2u - 1) sqrt(6 / (fan_in + fan_out)), where the fans are
the last two extents times the area; biases (2u - 1) 0.05; gamma and moving_variance 0.5 + u; beta and moving_mean
(2u - 1) 0.1. Images: u of seed 1000, stream 0, shape [2, 3, 64, 64], times row / 64 in the first and column / 64 in
the second, so that nothing that exchanges the two goes unseen. Computed in float64, in inference mode.
"""

import keras
import numpy as np

import philox
from golden import DATA, Golden
from make_model_oracles import keras_model

SEED, IMAGES = 47, 2
MODELS = {  # kfer's name: model of keras_model, number of classes
    "resnet50": ("resnet50", 0),
    "resnet50_classifier": ("resnet50", 6),
    "autoencoder": ("autoencoder", 0),
    "autoencoder_classifier": ("autoencoder_classifier", 22),
    "conv_net": ("conv_net", 24),
}


def value(number, role, shape):
    u = philox.uniform(SEED, number, shape).astype(np.float64)
    if role == "kernel":
        scale = np.sqrt(6 / ((shape[-1] + shape[-2]) * int(np.prod(shape[:-2]))))
        return ((2 * u - 1) * scale).astype(np.float32)
    if role in ("gamma", "moving_variance"):
        return (0.5 + u).astype(np.float32)
    return ((2 * u - 1) * (0.05 if role == "bias" else 0.1)).astype(np.float32)


def build(name):
    """The model, without its last activation, and its layers in order (a backbone's own)."""
    kind, classes = MODELS[name]
    if name == "resnet50":
        base = keras.applications.ResNet50(
            weights=None, include_top=False, input_shape=(64, 64, 3), pooling="avg"
        )
        return base, base.layers
    return keras_model(kind, classes)


def set_by_formula(layers):
    """Sets all weights; returns (layer, role, shape) of each in the order of their numbers."""
    weights = []
    for layer in layers:
        values = []
        for variable in layer.weights:
            if "float" not in variable.dtype:
                continue  # a dropout's random state
            role = variable.path.split("/")[-1]
            values.append(value(len(weights), role, tuple(variable.shape)))
            weights.append((layer.name, role, tuple(variable.shape)))
        if values:
            layer.set_weights(values)
    return weights


def main():
    keras.config.set_floatx("float64")
    golden = Golden("models/keras.safetensors", "outputs of Keras models, weights by formula; tools/make_keras_oracles.py")
    lines = ["model,layer,role,shape"]
    x = philox.uniform(1000, 0, (IMAGES, 3, 64, 64))
    x[0] *= np.arange(64, dtype=np.float32).reshape(1, 64, 1) / 64
    x[1] *= np.arange(64, dtype=np.float32).reshape(1, 1, 64) / 64
    x = x.transpose(0, 2, 3, 1)
    for name in MODELS:
        keras.utils.clear_session()
        model, layers = build(name)
        for layer, role, shape in set_by_formula(layers):
            lines.append(f"{name},{layer},{role},{'x'.join(map(str, shape))}")
        y = np.asarray(model(x.astype(np.float64), training=False))
        if y.ndim == 4:  # a reconstruction is large: a corner of each image serves
            y = y[:, :8, :8, :].transpose(0, 3, 1, 2)
        assert np.isfinite(y).all()
        print(name, y.shape, "largest", np.abs(y).max(), "spread over the images", np.abs(y[0] - y[1]).max())
        golden.put(name, y)
    golden.write()
    (DATA / "models" / "keras_layers.csv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
