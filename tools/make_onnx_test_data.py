#!/usr/bin/env python3
"""Writes tests/data/io/tiny.onnx: a model serialised by the onnx package, byte for byte what kfer must write.

usage: make_onnx_test_data.py [FILE]          needs onnx >= 1.12 and numpy; made with onnx 1.23.2

The model has every kind of attribute, both element types, an optional input left out, a batch of any size,
metadata, and a name that is not ASCII. tests/io/onnx_test.cpp builds the same.
"""

import sys
from pathlib import Path

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper


def tiny():
    def numbers(name, shape, dtype="<f4"):
        return numpy_helper.from_array((numpy.arange(numpy.prod(shape)) / 8 - 1).astype(dtype).reshape(shape), name)

    nodes = [
        helper.make_node("Conv", ["image", "conv.weight", "conv.bias"], ["conv"], name="conv",
                         kernel_shape=[3, 3], pads=[1, 1, 1, 1], group=1),
        helper.make_node("BatchNormalization", ["conv", *(f"bn.{x}" for x in ("weight", "bias", "mean", "var"))],
                         ["bn"], name="bn", epsilon=1e-5),
        helper.make_node("Resize", ["bn", "", "scales"], ["upsample"], name="upsample", mode="nearest"),
        helper.make_node("Reshape", ["upsample", "shape"], ["größe"], name="größe"),
    ]
    initializers = [
        numbers("conv.weight", [2, 1, 3, 3]),
        *(numbers(f"bn.{x}" if x else "conv.bias", [2]) for x in ("", "weight", "bias", "mean")),
        numpy_helper.from_array(numpy.array([0.5, 2], "<f4"), "bn.var"),
        numpy_helper.from_array(numpy.array([1, 1, 2, 2], "<f4"), "scales"),
        numpy_helper.from_array(numpy.array([0, -1], "<i8"), "shape"),
    ]
    graph = helper.make_graph(
        nodes, "tiny", [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 4, 4])],
        [helper.make_tensor_value_info("größe", TensorProto.FLOAT, ["N", 128])], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="kfer",
                              producer_version="0.1.0")
    helper.set_model_props(model, {"labels": "sad,happy", "empty": ""})
    for node in model.graph.node:  # the package sorts attributes by name; so does the test
        assert [a.name for a in node.attribute] == sorted(a.name for a in node.attribute)
    onnx.checker.check_model(model, full_check=True)
    return model


if __name__ == "__main__":
    default = Path(__file__).resolve().parent.parent / "tests" / "data" / "io" / "tiny.onnx"
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    path.write_bytes(tiny().SerializeToString(deterministic=True))
    print(f"{path}: {path.stat().st_size} bytes, onnx {onnx.__version__}")
