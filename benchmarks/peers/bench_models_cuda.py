"""The work of benchmarks/models on a GPU, done by PyTorch: training steps and inference of the K-drama models.

    python3 benchmarks/peers/bench_models_cuda.py [--only resnet50] [--variants eager,compile] [--seconds 3]

Prints one JSON object a line. A training step is forward, binary cross-entropy with logits, backward and Adam on a batch
that lies on the device; an inference is a forward pass in evaluation mode. Each measurement runs in a process of its own.
PyTorch is given its best: channels-last memory, cuDNN's timed choice of algorithms, fused Adam, gradients set to None, and

- eager, and torch.compile in the mode "max-autotune", which captures CUDA graphs;
- tf32 (what kfer calls float32), fp32 (no TensorFloat-32: kfer's --strict-fp32), and bf16 (autocast: kfer's --amp).

A step is timed with events over `--seconds` in stretches of ten steps without waiting in between, and the median stretch
counts: what a training loop that reads its loss now and then sees. --device cpu --small is for trying the script out.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CLASSES = 24

# model, extent of the image, batch
WORK = [("conv_net", 64, 64), ("autoencoder", 64, 64), ("resnet50", 64, 64), ("resnet50_v1_5", 224, 128)]
PRECISIONS = ("tf32", "fp32", "bf16")
VARIANTS = ("eager", "compile")


def benches():
    for model, side, batch in WORK:
        for mode in ("train", "infer"):
            for precision in PRECISIONS:
                yield f"{model}/{mode}/{side}x{side}/{batch}/{precision}"


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="benches whose name contains this")
    parser.add_argument("--variants", default=",".join(VARIANTS))
    parser.add_argument("--seconds", type=float, default=3, help="time for each measurement, after warm-up")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="batches of 2, to try the script out")
    parser.add_argument("--measure", nargs=2, metavar=("BENCH", "VARIANT"), help=argparse.SUPPRESS)
    return parser.parse_args()


def build(kind, side):
    """The model of the CPU's comparison; of the autoencoder and the plain network, 64x64 images only."""
    import torch.nn as nn
    import torch.nn.functional as F

    sys.path.insert(0, str(ROOT / "tools"))
    import kdrama_torch as models

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            if kind == "conv_net":
                self.model = models.ConvNet(CLASSES, 5)
            elif kind == "autoencoder":
                self.model = models.AutoencoderClassifier(CLASSES)
            else:
                self.model = models.ResNet50(CLASSES, v1=kind != "resnet50_v1_5")

        def forward(self, x):
            return self.model(x, lambda layer, value: F.dropout(value, 0.5, self.training))

    return Net()


def measure(bench, variant, args):
    """One measurement, in this process."""
    import torch
    import torch.nn.functional as F

    kind, mode, size, batch, precision = bench.split("/")
    side, batch = int(size.split("x")[0]), 2 if args.small else int(batch)
    on_gpu = args.device == "cuda"
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision != "fp32"
    net = build(kind, side).train(mode == "train").to(args.device).to(memory_format=torch.channels_last)
    x = torch.rand(batch, 3, side, side, device=args.device).contiguous(memory_format=torch.channels_last)
    target = (torch.rand(batch, CLASSES, device=args.device) < 0.1).float()
    half = torch.autocast(args.device, torch.bfloat16, enabled=precision == "bf16")
    forward = torch.compile(net, mode="max-autotune") if variant == "compile" else net

    if mode == "train":
        optimiser = torch.optim.Adam(net.parameters(), 1e-4, eps=1e-7, fused=on_gpu, capturable=on_gpu)

        def step():
            optimiser.zero_grad(set_to_none=True)
            with half:
                logits = forward(x)
            F.binary_cross_entropy_with_logits(logits.float(), target).backward()
            optimiser.step()
    else:

        def step():
            with torch.inference_mode(), half:
                forward(x)

    if on_gpu:
        torch.cuda.reset_peak_memory_stats()

        def stretch(count):
            begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            begin.record()
            for _ in range(count):
                step()
            end.record()
            end.synchronize()
            return begin.elapsed_time(end) / count
    else:

        def stretch(count):
            begin = time.perf_counter()
            for _ in range(count):
                step()
            return (time.perf_counter() - begin) / count * 1e3

    for _ in range(2 if args.small else 12):
        step()
    times, start = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - start < args.seconds:
        times.append(stretch(1 if args.small else 10))
    return {
        "bench": bench,
        "framework": "pytorch " + torch.__version__.split("+")[0],
        "variant": variant,
        "median_ms": round(statistics.median(times), 4),
        "min_ms": round(min(times), 4),
        "runs": len(times),
        "peak_mb": round(torch.cuda.max_memory_allocated() / 2**20) if on_gpu else None,
        "device": torch.cuda.get_device_name() if on_gpu else "cpu",
    }


def main():
    args = options()
    unknown = set(args.variants.split(",")) - set(VARIANTS)
    if unknown:
        raise SystemExit(f"--variants: expected some of {', '.join(VARIANTS)}, got {', '.join(sorted(unknown))}")
    if args.measure:
        print("result " + json.dumps(measure(*args.measure, args)))
        return
    failures = 0
    for bench in benches():
        if args.only not in bench:
            continue
        for variant in args.variants.split(","):
            command = [sys.executable, __file__, "--seconds", str(args.seconds), "--device", args.device]
            command += ["--small"] * args.small + ["--measure", bench, variant]
            done = subprocess.run(command, capture_output=True, text=True)
            lines = [line for line in done.stdout.splitlines() if line.startswith("result ")]
            if done.returncode or not lines:
                print(f"{bench} {variant}: {(done.stderr.strip().splitlines() or ['no output'])[-1]}", file=sys.stderr)
                failures += 1
                continue
            print(lines[-1][7:], flush=True)
    raise SystemExit(1 if failures else 0)


if __name__ == "__main__":
    main()
