"""Makes the golden files of tests/data/models: 20 training steps of each K-drama model as PyTorch computes
them.

    python3 tools/make_model_oracles.py train [model ...]   losses, logits, gradient norms (needs torch)
    python3 tools/make_model_oracles.py counts              parameter_counts.csv from Keras (needs tensorflow)
    python3 tools/make_model_oracles.py keras               is step 0 the same in the real Keras models?
    python3 tools/make_model_oracles.py check               have the PyTorch models the published counts?

Nothing large is stored: weights, images, labels and dropout masks are streams of the Philox generator
(tools/philox.py), float32, the same for every implementation.

- Tensor number t of the state_dict (torch's order, without num_batches_tracked) is stream t of seed 46, with
  u its uniform floats in row-major order and every product in double, rounded to float32 at the end: weights
  of convolutions and linear layers (2u - 1) sqrt(6 / (fan_in + fan_out)); their biases (2u - 1) 0.05; batch
  norm weight 0.5 + u, bias (2u - 1) 0.1, running_mean (2u - 1) 0.1, running_var 0.5 + u.
- Batch of step s (from 0): images u of seed 1000, stream s, shape [n, 3, 64, 64]; labels u < 0.1 of seed
  2000, stream s, shape [n, 24].
- Dropout layer d (from 0) of step s: seed 3000, stream 16 s + d, p = 0.5.
- Adam as Keras defines it: w -= lr sqrt(1 - 0.999^t) / (1 - 0.9^t) m / (sqrt(v) + 1e-7), t = s + 1.
- Loss: mean binary cross-entropy with logits over labels; for `autoencoder` against the images themselves.
"""

import re
import sys
import time

import numpy as np

import philox
from golden import DATA, Golden, read

SEED_WEIGHTS, SEED_IMAGES, SEED_LABELS, SEED_DROPOUT = 46, 1000, 2000, 3000
STEPS, CLASSES = 20, 24
# model: batch, learning rates. Adam divides by the gradient's size, so noise grows from step to step: for the
# first rate of each model float32 PyTorch stays within 1e-5 of float64 PyTorch, for the second of ConvNet and
# ResNet50, ten times higher, it does not.
MODELS = {
    "autoencoder": (16, (1e-3,)),
    "autoencoder_classifier": (16, (1e-3, 1e-5)),
    "conv_net": (8, (1e-5, 1e-4)),
    "resnet50": (8, (1e-7, 1e-6)),
}


def build(name):
    import kdrama_torch as models

    if name == "autoencoder":
        return models.Autoencoder()
    if name == "autoencoder_classifier":
        return models.AutoencoderClassifier(CLASSES)
    if name == "conv_net":
        return models.ConvNet(CLASSES)
    return models.ResNet50(CLASSES).freeze()


def initial_value(stream, name, shape):
    """Float32 array of tensor `name`, number `stream` of its state_dict, in PyTorch's layout."""
    layer, kind = name.split(".")[-2:]
    u = philox.uniform(SEED_WEIGHTS, stream, shape).astype(np.float64)
    if layer.startswith("bn") or ".downsample.1." in name:
        value = 0.5 + u if kind in ("weight", "running_var") else (2 * u - 1) * 0.1
    elif kind == "bias":
        value = (2 * u - 1) * 0.05
    else:
        area = int(np.prod(shape[2:]))
        value = (2 * u - 1) * np.sqrt(6 / ((shape[0] + shape[1]) * area))
    return value.astype(np.float32)


def state_dict_names(model):
    return [name for name in model.state_dict() if not name.endswith("num_batches_tracked")]


def train(name, learning_rate, dtype, steps=STEPS):
    """Losses of the steps, logits and gradient norms of the first, how far each parameter has moved after the
    last."""
    import torch
    import torch.nn.functional as F

    batch, _ = MODELS[name]
    model = build(name).to(dtype)
    values = {
        name: torch.from_numpy(initial_value(stream, name, tuple(model.state_dict()[name].shape))).to(dtype)
        for stream, name in enumerate(state_dict_names(model))
    }
    missing, unexpected = model.load_state_dict(values, strict=False)
    assert not unexpected and all(k.endswith("num_batches_tracked") for k in missing)
    model.train()
    parameters = {k: p for k, p in model.named_parameters() if p.requires_grad}
    m = {k: torch.zeros_like(p) for k, p in parameters.items()}
    v = {k: torch.zeros_like(p) for k, p in parameters.items()}
    losses, logits, norms = [], None, None
    for step in range(steps):
        x = torch.from_numpy(philox.uniform(SEED_IMAGES, step, (batch, 3, 64, 64))).to(dtype)
        labels = torch.from_numpy(philox.uniform(SEED_LABELS, step, (batch, CLASSES)) < 0.1).to(dtype)

        def drop(layer, value, p=0.5):
            keep = philox.dropout_keep(SEED_DROPOUT, 16 * step + layer, tuple(value.shape), p)
            return value * torch.from_numpy(np.ascontiguousarray(keep)).to(dtype) / (1 - p)

        output = model(x, drop)
        loss = F.binary_cross_entropy_with_logits(output, x if name == "autoencoder" else labels)
        model.zero_grad(set_to_none=True)
        loss.backward()
        if step == 0:
            logits = output.detach().double().numpy().copy()
            norms = np.array([float(p.grad.double().norm()) for p in parameters.values()])
        losses.append(float(loss.detach()))
        with torch.no_grad():
            t = step + 1
            rate = learning_rate * (1 - 0.999**t) ** 0.5 / (1 - 0.9**t)
            for k, p in parameters.items():
                m[k].mul_(0.9).add_(p.grad, alpha=0.1)
                v[k].mul_(0.999).addcmul_(p.grad, p.grad, value=0.001)
                p.addcdiv_(m[k], v[k].sqrt().add_(1e-7), value=-rate)
    updates = np.array([float((p.detach() - values[k]).double().norm()) for k, p in parameters.items()])
    return np.array(losses), logits, norms, updates, list(parameters)


def make_train(names):
    import torch

    for name in names or MODELS:
        batch, rates = MODELS[name]
        golden = Golden(
            f"models/{name}.safetensors", f"{STEPS} training steps of {name}; tools/make_model_oracles.py"
        )
        golden.metadata.update(batch=str(batch), steps=str(STEPS), classes=str(CLASSES))
        for rate in rates:
            start = time.time()
            losses, logits, norms, updates, parameters = train(name, rate, torch.float64)
            losses32, logits32, norms32, updates32, _ = train(name, rate, torch.float32)
            golden.case(dict(learning_rate=rate), loss=losses, loss_float32=losses32, update_norm=updates)
            worst = np.abs(losses32 / losses - 1)
            print(f"{name} lr {rate}: {time.time() - start:.0f} s, loss {losses[0]:.6f} -> {losses[-1]:.6f}")
            print("  relative deviation of float32:", " ".join(f"{d:.0e}" for d in worst))
            vanishing = [k for k, n in zip(parameters, norms) if n < 1e-10]
            moved = np.abs(updates32 / np.maximum(updates, 1e-30) - 1)[norms >= 1e-10]
            print(f"  norms of the updates: {np.max(moved):.1e} relative, median {np.median(moved):.1e}")
        # a reconstruction is large: the first channel's upper left 8 x 8 logits of each image serve
        golden.put("logits", logits if logits.ndim == 2 else logits[:, 0, :8, :8].reshape(batch, 64))
        golden.put("grad_norm", norms)
        scale = np.abs(norms32 / np.maximum(norms, 1e-30) - 1)
        print(f"  logits: largest difference {np.abs(logits32 - logits).max():.1e};", end=" ")
        print(f"gradient norms: {np.max(scale[norms >= 1e-10]):.1e} relative, {len(vanishing)} vanish")
        golden.metadata["state_dict"] = ",".join(state_dict_names(build(name)))
        golden.metadata["parameters"] = ",".join(parameters)
        golden.write()


# Totals of the published notebooks: (model, classes) -> (total, trainable). ConvNN is 3x3 but for 24 classes,
# 5x5.
PUBLISHED = {
    ("autoencoder", 0): (48003, 48003),
    ("autoencoder_classifier", 6): (121779, 121779),
    ("autoencoder_classifier", 22): (318867, 318867),
    ("autoencoder_classifier", 24): (343539, 343539),
    ("conv_net", 6): (882278, 882278),
    ("conv_net", 22): (2979446, 2979446),
    ("conv_net", 24): (3411576, 3411576),
    ("resnet50", 6): (23600048, 17227824),
    ("resnet50", 22): (23633296, 17261072),
    ("resnet50", 24): (23637488, 17265264),
}


def autoencoder_layers():
    from keras import layers

    for _ in range(3):
        yield layers.Conv2D(32, 3, padding="same", activation="relu")
        yield layers.MaxPooling2D(2, padding="same")
    for _ in range(3):
        yield layers.Conv2DTranspose(32, 3, padding="same", activation="relu")
        yield layers.UpSampling2D(2)
    yield layers.Conv2D(3, 3, padding="same", activation="sigmoid")


def keras_model(name, classes):
    """The published model, without its last activation, and the list of its layers (the backbone's own for
    ResNet50)."""
    import keras
    from keras import layers

    if name == "resnet50":
        base = keras.applications.ResNet50(
            weights=None, include_top=False, input_shape=(64, 64, 3), pooling="avg"
        )
        for layer in base.layers[:120]:
            layer.trainable = False
        assert base.layers[119].name == "conv4_block4_3_conv", base.layers[119].name
        head = [layers.Dense(classes), layers.Dropout(0.5), layers.Dense(classes)]
        return keras.Sequential([keras.Input((64, 64, 3)), base, *head]), [*base.layers, *head]
    if name == "conv_net":
        kernel, body = 5 if classes == 24 else 3, []
        for filters in (128, 64, 32):
            body += [layers.Conv2D(filters, kernel, padding="same", activation="relu"), layers.Dropout(0.5)]
        body += [layers.Flatten(), layers.Dense(classes)]
    else:
        body = list(autoencoder_layers())
        if name == "autoencoder_classifier":
            body += [
                layers.Flatten(),
                layers.Dense(classes, "relu"),
                layers.Dropout(0.5),
                layers.Dense(classes),
            ]
    return keras.Sequential([keras.Input((64, 64, 3)), *body]), body


def torch_name(model, index, layer):
    """The PyTorch name of the index-th Keras layer with weights of a model."""
    if model == "resnet50":
        if layer.startswith("conv1"):
            return "backbone.conv1" if layer.endswith("conv") else "backbone.bn1"
        stage, block, number, kind = re.fullmatch(r"conv(\d)_block(\d)_(\d)_(conv|bn)", layer).groups()
        last = f"downsample.{int(kind == 'bn')}" if number == "0" else kind + number
        return f"backbone.layer{int(stage) - 1}.{int(block) - 1}.{last}"
    if model == "conv_net":
        return ("conv1", "conv2", "conv3", "fc")[index]
    parts = [f"encoder.conv{i}" for i in (1, 2, 3)] + [f"decoder.conv{i}" for i in (1, 2, 3, 4)]
    if model == "autoencoder_classifier":
        parts = ["autoencoder." + part for part in parts] + ["fc1", "fc2"]
    return parts[index]


def check_keras():
    """Sets the oracles' weights in the real Keras models, takes step 0 and compares logits, loss and gradient
    norms with the stored ones of PyTorch: are the models the same?"""
    import keras
    import tensorflow as tf

    keras.config.set_floatx("float64")

    def to_keras(value, flattened):
        if value.ndim == 4:
            return value.transpose(2, 3, 1, 0)
        if value.ndim == 2 and flattened:  # [out, C H W] -> [H W C, out]
            return value.reshape(value.shape[0], *flattened).transpose(2, 3, 1, 0).reshape(-1, value.shape[0])
        return value.T

    for name, (batch, _) in MODELS.items():
        tensors, metadata = read(DATA / "models" / f"{name}.safetensors")
        stream = {key: index for index, key in enumerate(metadata["state_dict"].split(","))}
        model, parts = keras_model(name, CLASSES)
        flatten = {"conv_net": (32, 64, 64), "autoencoder_classifier": (3, 64, 64)}.get(name)
        variables, index, after_flatten = {}, 0, False
        for layer in parts:
            after_flatten |= type(layer).__name__ == "Flatten"
            if not layer.weights:
                continue
            dense = type(layer).__name__ == "Dense"
            base = (
                torch_name(name, index, layer.name)
                if not (dense and name == "resnet50")
                else f"fc{1 + (layer is parts[-1])}"
            )
            normalisation = type(layer).__name__ == "BatchNormalization"
            kinds = ("weight", "bias", "running_mean", "running_var") if normalisation else ("weight", "bias")
            for kind, weight in zip(kinds, layer.weights):
                key, shape = f"{base}.{kind}", tuple(weight.shape)
                if len(shape) == 4:
                    shape = (shape[3], shape[2], shape[0], shape[1])
                elif len(shape) == 2:
                    shape = shape[::-1]
                weight.assign(to_keras(initial_value(stream.pop(key), key, shape), after_flatten and flatten))
                if weight.trainable:
                    variables[key] = weight.value
            after_flatten &= not dense
            index += 1
        assert not stream, stream

        x = tf.constant(philox.uniform(SEED_IMAGES, 0, (batch, 3, 64, 64)).transpose(0, 2, 3, 1), tf.float64)
        labels = tf.constant(philox.uniform(SEED_LABELS, 0, (batch, CLASSES)) < 0.1)
        with tf.GradientTape() as tape:
            y, dropout = x, 0
            for layer in model.layers:
                if type(layer).__name__ != "Dropout":
                    y = layer(y, training=True)
                    continue
                shape = tuple(y.shape)
                if len(shape) == 4:
                    keep = philox.dropout_keep(SEED_DROPOUT, dropout, (shape[0], shape[3], *shape[1:3]), 0.5)
                    keep = keep.transpose(0, 2, 3, 1)
                else:
                    keep = philox.dropout_keep(SEED_DROPOUT, dropout, shape, 0.5)
                y = y * tf.constant(keep, tf.float64) * 2.0
                dropout += 1
            if name == "autoencoder":
                y = tf.math.log(y / (1 - y))  # undoes the sigmoid
            target = x if name == "autoencoder" else tf.cast(labels, tf.float64)
            loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(target, y))
        keys = metadata["parameters"].split(",")
        assert sorted(keys) == sorted(variables)
        norms = np.array([float(tf.norm(g)) for g in tape.gradient(loss, [variables[key] for key in keys])])
        logits = y.numpy() if y.ndim == 2 else y.numpy()[:, :8, :8, 0].reshape(batch, 64)
        errors = (
            abs(float(loss) / float(tensors["case0/loss"][0]) - 1),
            np.abs(logits - tensors["logits"]).max() / np.abs(tensors["logits"]).max(),
            np.abs(norms - tensors["grad_norm"]).max() / tensors["grad_norm"].max(),
        )
        print(
            f"{name}: Keras {keras.__version__} and PyTorch differ by",
            "loss %.0e, logits %.0e, gradient norms %.0e" % errors,
        )
        if not max(errors) < 1e-6:
            raise SystemExit("the PyTorch model is not the Keras model")


def make_counts():
    """parameter_counts.csv: each layer with weights of the real Keras models, and the totals, checked against
    the published ones. Moving mean and variance of a batch norm count as non-trainable parameters."""
    import keras

    def count(weights):
        return sum(int(np.prod(w.shape)) for w in weights)

    path = DATA / "models" / "parameter_counts.csv"
    lines = ["model,classes,layer,kind,total,trainable"]
    for (name, classes), published in PUBLISHED.items():
        keras.utils.clear_session()
        model, parts = keras_model(name, classes)
        for layer in parts:
            if layer.weights:
                kind = type(layer).__name__
                lines.append(
                    f"{name},{classes},{layer.name},{kind},{count(layer.weights)},{count(layer.trainable_weights)}"
                )
        totals = count(model.weights), count(model.trainable_weights)
        lines.append(f"{name},{classes},,,{totals[0]},{totals[1]}")
        print(name, classes, *totals, "as published" if totals == published else f"PUBLISHED: {published}")
        if totals != published:
            raise SystemExit("the model is not the published one")
    path.write_text("\n".join(lines) + "\n")


def check_counts():
    """Do the PyTorch models of the oracles have the published counts? (num_batches_tracked is no parameter of
    Keras'.)"""
    import kdrama_torch as models

    for (name, classes), published in PUBLISHED.items():
        if name == "autoencoder":
            model = models.Autoencoder()
        elif name == "autoencoder_classifier":
            model = models.AutoencoderClassifier(classes)
        elif name == "conv_net":
            model = models.ConvNet(classes, 5 if classes == 24 else 3)
        else:
            model = models.ResNet50(classes).freeze()
        total = sum(v.numel() for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked"))
        trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
        print(name, classes, total, trainable)
        if (total, trainable) != published:
            raise SystemExit(f"expected {published}")


if __name__ == "__main__":
    command, names = (sys.argv + [""])[1], sys.argv[2:]
    if command == "train":
        make_train(names)
    elif command == "counts":
        make_counts()
    elif command == "keras":
        check_keras()
    elif command == "check":
        check_counts()
    else:
        raise SystemExit(__doc__)
