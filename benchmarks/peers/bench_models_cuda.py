"""The work of benchmarks/models on a GPU, done by PyTorch: training steps and inference of the K-drama models.

    python3 benchmarks/peers/bench_models_cuda.py [--only resnet50] [--variants eager,graph] [--seconds 3] [--total 600]

Prints one JSON object a line. A training step is forward, binary cross-entropy with logits, backward and Adam on a batch
that lies on the device; an inference is a forward pass in evaluation mode. PyTorch is given its best: channels-last memory,
cuDNN's timed choice of algorithms, fused Adam, gradients set to None, images that are bfloat16 already where that is what
is computed in, and

- eager; graph: the whole eager step as one captured CUDA graph; compile: torch.compile in the mode "reduce-overhead", which
  captures CUDA graphs too; max-autotune: in that mode, and for inference with frozen weights (batch norms folded);
- tf32 (what kfer calls float32), fp32 (no TensorFloat-32: kfer's --strict-fp32), and bf16: kfer's --amp, that is autocast
  for training, and weights in bfloat16 for inference.

A step is timed with events over `--seconds` in stretches of ten steps without waiting in between, and the median stretch
counts: what a training loop that reads its loss now and then sees. What was computed is checked: losses fall, results are
finite. Compilation is limited to `--limit` seconds a measurement, and everything to `--total`: what was not measured says
so in its line ("failed"). Eager steps and graphs come first, then what is compiled, the largest model first. --device cpu
--small is for trying the script out.
"""

import argparse
import json
import math
import pathlib
import statistics
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CLASSES = 24

# model, extent of the image, batch
WORK = [("resnet50_v1_5", 224, 128), ("resnet50", 64, 64), ("conv_net", 64, 64), ("autoencoder", 64, 64)]
PRECISIONS = ("bf16", "tf32", "fp32")
COMPILED = {"compile": "reduce-overhead", "max-autotune": "max-autotune"}
VARIANTS = ("eager", "graph", *COMPILED)


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="benches whose name contains this")
    parser.add_argument("--variants", default=",".join(VARIANTS))
    parser.add_argument("--seconds", type=float, default=3, help="time for each measurement, after warm-up")
    parser.add_argument("--limit", type=float, default=240, help="seconds for compiling and measuring one compiled bench")
    parser.add_argument("--total", type=float, default=36000, help="seconds for everything")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="batches of 2, to try the script out")
    parser.add_argument("--jobs", type=json.loads, help=argparse.SUPPRESS)
    return parser.parse_args()


def jobs(args):
    """[[bench, variant], ...] in the order of measuring."""
    benches = [f"{model}/{mode}/{side}x{side}/{batch}/{precision}" for model, side, batch in WORK
               for mode in ("train", "infer") for precision in PRECISIONS]
    benches.sort(key=lambda bench: bench.endswith("fp32"))  # what is used least comes last
    variants = [v for v in args.variants.split(",") if v != "graph" or args.device == "cuda"]
    rounds = [[v for v in variants if v not in COMPILED]] + [[v] for v in variants if v in COMPILED]
    return [[b, v] for some in rounds for b in benches if args.only in b for v in some]


def build(kind):
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


def training_step(net, x, target, args, variant, half):
    """(step, loss of the last step as a number)"""
    import torch
    import torch.nn.functional as F

    on_gpu = args.device == "cuda"
    optimiser = torch.optim.Adam(net.parameters(), 1e-4, eps=1e-7, fused=on_gpu, capturable=on_gpu and variant == "graph")
    last = {}

    def loss_of(images, labels):
        with half():
            logits = net(images)
        return F.binary_cross_entropy_with_logits(logits.float(), labels)

    loss = torch.compile(loss_of, mode=COMPILED[variant]) if variant in COMPILED else loss_of

    def step():
        optimiser.zero_grad(set_to_none=True)
        if variant in COMPILED:
            torch.compiler.cudagraph_mark_step_begin()
        last["loss"] = loss(x, target)
        last["loss"].backward()
        optimiser.step()

    return step, lambda: last["loss"].item()


def inference(net, x, args, variant):
    import torch

    if variant in COMPILED:
        import torch._inductor.config

        torch._inductor.config.freezing = variant == "max-autotune"
        net = torch.compile(net, mode=COMPILED[variant])
    last, without_gradients = {}, torch.no_grad if variant in COMPILED else torch.inference_mode

    def step():
        with without_gradients():
            if variant in COMPILED:
                torch.compiler.cudagraph_mark_step_begin()
            last["y"] = net(x)

    return step, lambda: last["y"].float().abs().max().item()


def captured(step):
    """The same step as one graph, after the warm-up that capture asks for."""
    import torch

    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(5):
            step()
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def measure(bench, variant, args):
    """One measurement, in this process."""
    import torch

    kind, mode, size, batch, precision = bench.split("/")
    side, batch = int(size.split("x")[0]), 2 if args.small else int(batch)
    on_gpu = args.device == "cuda"
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision != "fp32"
    net = build(kind).train(mode == "train").to(args.device).to(memory_format=torch.channels_last)
    x = torch.rand(batch, 3, side, side, device=args.device).contiguous(memory_format=torch.channels_last)
    if precision == "bf16":
        x = x.bfloat16()
    if mode == "train":
        target = (torch.rand(batch, CLASSES, device=args.device) < 0.1).float()
        half = lambda: torch.autocast(args.device, torch.bfloat16, enabled=precision == "bf16")
        step, outcome = training_step(net, x, target, args, variant, half)
    else:
        step, outcome = inference(net.bfloat16() if precision == "bf16" else net, x, args, variant)

    step()
    first = outcome()
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()  # not what choosing algorithms took
    if variant == "graph":
        step = captured(step)
    for _ in range(2 if args.small else 12):
        step()
    if on_gpu:
        torch.cuda.synchronize()

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

    times, start = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - start < args.seconds:
        times.append(stretch(1 if args.small else 10))
    last = outcome()
    if not math.isfinite(last) or (mode == "train" and not args.small and last >= first):
        raise ArithmeticError(f"the first step gave {first}, the last {last}")
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


def work_through(args):
    """What a child process does: its jobs, a line for each."""
    import gc

    import torch

    for bench, variant in args.jobs:
        if args.device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        try:
            line = measure(bench, variant, args)
        except Exception as error:
            line = {"bench": bench, "variant": variant,
                    "failed": f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"[:300]}
        print("result " + json.dumps(line), flush=True)
        gc.collect()


def run_child(some, args, seconds):
    """The lines of a process that works through the jobs `some`; it is ended after `seconds`."""
    command = [sys.executable, __file__, "--seconds", str(args.seconds), "--device", args.device, "--jobs", json.dumps(some)]
    child = subprocess.Popen(command + ["--small"] * args.small, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    late = threading.Timer(max(seconds, 1), child.kill)
    late.start()
    errors = []
    reader = threading.Thread(target=lambda: errors.extend(child.stderr), daemon=True)
    reader.start()
    for line in child.stdout:
        if line.startswith("result "):
            yield json.loads(line[7:])
    child.wait()
    reader.join(1)
    if late.is_alive():
        late.cancel()
        if child.returncode:
            sys.stderr.writelines(errors[-20:])


def main():
    args = options()
    unknown = set(args.variants.split(",")) - set(VARIANTS)
    if unknown:
        raise SystemExit(f"--variants: expected some of {', '.join(VARIANTS)}, got {', '.join(sorted(unknown))}")
    if args.jobs:
        return work_through(args)
    end = time.monotonic() + args.total
    todo, failures = jobs(args), 0
    while todo:
        # Compiled benches get a process each, the others share one until it dies.
        quick = [job for job in todo if job[1] not in COMPILED]
        some, left = quick or todo[:1], end - time.monotonic()
        seconds = left if quick else min(left, args.limit)
        began, done = time.monotonic(), 0
        for line in run_child(some, args, seconds) if left > 5 else ():
            print(json.dumps(line), flush=True)
            if "failed" in line:
                print(f"error: {line['bench']} {line['variant']}: {line['failed']}", file=sys.stderr, flush=True)
                failures += 1
            done += 1
        if done < len(some):  # the next one ended the process, or was not begun
            why = f"no result in {time.monotonic() - began:.0f} s" if left > 5 else "left out: the time is up"
            bench, variant = some[done]
            print(json.dumps({"bench": bench, "variant": variant, "failed": why}), flush=True)
            failures += left > 5 and not (variant in COMPILED and time.monotonic() - began >= seconds)
            done += 1
        todo = todo[len(some[:done]):]
    raise SystemExit(1 if failures else 0)


if __name__ == "__main__":
    main()
