"""Weights files of kfer's models with random numbers in them, of the names and shapes that export_onnx lists."""

import json
import struct
import subprocess

import numpy


def random_tensor(name, shape, random):
    """Weights that keep activations of moderate size, batch norm statistics as of a trained network."""
    if name.endswith("running_var"):
        return random.uniform(0.5, 1.5, shape)
    if len(shape) == 1 and name.endswith(".weight"):  # of a batch norm; small at a residual branch's end
        return random.uniform(0.2, 0.4, shape) if name.endswith("bn3.weight") else random.uniform(0.5, 1.5, shape)
    if len(shape) == 1:
        return random.normal(0, 0.1, shape)
    return random.normal(0, (2 / numpy.prod(shape[1:])) ** 0.5, shape)


def write_weights(path, export_onnx, metadata, *architecture):
    """A safetensors file, written by hand: the size of the header, the header, the data. `export_onnx` is the program,
    `architecture` the flags that name the model to it."""
    random = numpy.random.default_rng(46)
    header, data, end = {"__metadata__": metadata}, [], 0
    listed = subprocess.run([export_onnx, "--list", *map(str, architecture)], check=True, capture_output=True, text=True)
    for line in listed.stdout.splitlines():
        name, shape = line.split(" ", 1)
        values = random_tensor(name, json.loads(shape), random).astype("<f4")
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [end, end + values.nbytes]}
        end += values.nbytes
        data.append(values.tobytes())
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(data))
