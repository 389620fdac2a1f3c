#!/usr/bin/env python3
"""The inference of benchmarks/models, done by ONNX Runtime on the models that export_onnx writes.

usage: bench_onnxruntime.py BUILD-DIRECTORY [--threads 2] [--seconds 3] [--only conv_net]

Prints one JSON object a line, as bench_models --json does. Each measurement runs in a process of its own, so that
peak_mb is its own. A session has all of ONNX Runtime's graph optimisations (batch norms folded into convolutions
among them), and the CPU's default memory arena. Needs onnxruntime and numpy.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "tests" / "peers"))

MODELS = {  # the flags of --list: 24 classes, as bench_models has
    "conv_net": ["conv_net", "--classes", 24, "--kernel", 5],
    "autoencoder": ["autoencoder_classifier", "--classes", 24],
    "resnet50": ["resnet50_classifier", "--classes", 24, "--form", "keras"],
    "resnet50_v1_5": ["resnet50_classifier", "--classes", 24, "--form", "torchvision"],
}
BATCHES = (1, 64)


def measure(bench, model, batch, threads, seconds):
    """One measurement, in this process."""
    import numpy
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    images = {"image": numpy.random.default_rng(1).random((batch, 3, 64, 64), "float32")}
    for _ in range(3):
        (result,) = session.run(None, images)
    assert result.shape == (batch, 24) and numpy.isfinite(result).all()
    times, start = [], time.perf_counter()
    while len(times) < 9 or (time.perf_counter() - start < seconds and len(times) < 200):
        begin = time.perf_counter()
        session.run(None, images)
        times.append((time.perf_counter() - begin) * 1e3)
    print(json.dumps({"bench": bench, "framework": f"onnxruntime {onnxruntime.__version__}",
                      "median_ms": round(statistics.median(times), 3), "min_ms": round(min(times), 3),
                      "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", help="where tools/export_onnx was built")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--only", default="", help="benches whose name contains this")
    parser.add_argument("--measure", nargs=3, metavar=("BENCH", "MODEL", "BATCH"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        bench, model, batch = options.measure
        return measure(bench, model, int(batch), options.threads, options.seconds)

    from random_weights import write_weights

    program = os.path.join(options.build, "tools", "export_onnx")
    with tempfile.TemporaryDirectory() as folder:
        weights = os.path.join(folder, "weights.safetensors")
        for name, architecture in MODELS.items():
            benches = [(f"{name}/infer/{batch}", batch) for batch in BATCHES]
            benches = [(bench, batch) for bench, batch in benches if options.only in bench]
            if not benches:
                continue
            model = os.path.join(folder, f"{name}.onnx")
            write_weights(weights, program, {}, "--model", *architecture)
            subprocess.run([program, weights, "-o", model], check=True, stdout=sys.stderr)
            for bench, batch in benches:
                subprocess.run([sys.executable, __file__, options.build, "--threads", str(options.threads), "--seconds",
                                str(options.seconds), "--measure", bench, model, str(batch)], check=True)


if __name__ == "__main__":
    main()
