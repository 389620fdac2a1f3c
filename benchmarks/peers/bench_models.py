"""The work of benchmarks/models, done by PyTorch: training steps and inference of the K-drama models on the
CPU.

    python3 benchmarks/peers/bench_models.py [--best] [--threads 2] [--seconds 8] [--only resnet50] [--compile]

Prints one JSON object a line. A training step is forward, binary cross-entropy with logits, backward, Adam
step; an inference is a forward pass in evaluation mode without autograd. Each measurement runs in a process
of its own, so that peak_mb is its own peak resident memory, PyTorch itself included. PyTorch is given its
best:

- both memory formats (`--best` keeps the faster), fused or foreach Adam, in-place ReLU, gradients set to
  None, denormals flushed; inference eager and as a frozen, inference-optimised TorchScript module, and
  torch.compile where asked;
- malloc keeps freed memory (MALLOC_MMAP_MAX_, MALLOC_TRIM_THRESHOLD_): without that page faults cost it
  dearly;
- Debian's PyTorch does its matrix products, and the transposed convolutions on them, with whatever
  libblas.so.3 points to. Reference BLAS uses one core and makes the autoencoder's step 4 times slower
  (processor time on one thread 1020 ms, 230 ms with OpenBLAS), and the pthread build of OpenBLAS fights OpenMP
  for the cores: `apt-get install libopenblas0-openmp` selects the right one. `blas_gflops` tells which it is.

quiet_runs are those in which other processes took less than 6 % of a core. The median is over them if there
are at least five, else over all runs, and then it says more about the machine's other work: read the minimum,
or, with --threads 1, cpu_ms, the least processor time of a run.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

# name: (model, mode, batch)
BENCHES = {
    "conv_net/train/64": ("conv_net", "train", 64),
    "conv_net/infer/64": ("conv_net", "infer", 64),
    "autoencoder/train/64": ("autoencoder", "train", 64),
    "autoencoder/infer/64": ("autoencoder", "infer", 64),
    "resnet50/train/16": ("resnet50", "train", 16),
    "resnet50/train/64": ("resnet50", "train", 64),
    "resnet50/infer/16": ("resnet50", "infer", 16),
    "resnet50/infer/64": ("resnet50", "infer", 64),
    "resnet50_v1_5/train/16": ("resnet50_v1_5", "train", 16),
    "resnet50_v1_5/train/64": ("resnet50_v1_5", "train", 64),
    "resnet50_v1_5/infer/16": ("resnet50_v1_5", "infer", 16),
    "resnet50_v1_5/infer/64": ("resnet50_v1_5", "infer", 64),
    "resnet50_frozen/train/64": ("resnet50_frozen", "train", 64),
}
FORMATS = ("channels_first", "channels_last")
CLASSES = 24


def options():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--best", action="store_true", help="keep the fastest format and variant of each bench"
    )
    parser.add_argument("--compile", action="store_true", help="also measure torch.compile")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=8, help="time for each measurement, after warm-up")
    parser.add_argument("--only", default="", help="benches whose name contains this")
    parser.add_argument("--format", choices=FORMATS, help="this memory format alone")
    parser.add_argument("--measure", nargs=3, metavar=("BENCH", "FORMAT", "VARIANT"), help=argparse.SUPPRESS)
    return parser.parse_args()


def busy_seconds():
    """Processor time that all processes have used, all cores together."""
    ticks = [int(v) for v in open("/proc/stat").readline().split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / 100  # but idle and waiting for a disk


def measure(bench, memory_format, variant, threads, seconds):
    """One measurement, in this process."""
    import resource

    import torch
    import torch.nn as nn
    import torch.nn.functional as F

    sys.path.insert(0, str(ROOT / "tools"))
    import kdrama_torch as models

    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    kind, mode, batch = BENCHES[bench]

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            if kind == "conv_net":
                self.model = models.ConvNet(CLASSES, 5)
            elif kind == "autoencoder":
                self.model = models.AutoencoderClassifier(CLASSES)
            else:
                self.model = models.ResNet50(CLASSES, v1=kind != "resnet50_v1_5")
                if kind == "resnet50_frozen":
                    self.model.freeze()

        def forward(self, x):
            return self.model(x, lambda layer, value: F.dropout(value, 0.5, self.training))

    net = Net().train(mode == "train")
    x = torch.rand(batch, 3, 64, 64)
    target = (torch.rand(batch, CLASSES) < 0.1).float()
    if memory_format == "channels_last":
        net = net.to(memory_format=torch.channels_last)
        x = x.contiguous(memory_format=torch.channels_last)

    if mode == "train":
        parameters = [p for p in net.parameters() if p.requires_grad]
        try:
            optimiser = torch.optim.Adam(parameters, 1e-4, eps=1e-7, fused=True)
        except (RuntimeError, TypeError):
            optimiser = torch.optim.Adam(parameters, 1e-4, eps=1e-7, foreach=True)
        if variant == "compile":
            net = torch.compile(net)

        def run():
            optimiser.zero_grad(set_to_none=True)
            F.binary_cross_entropy_with_logits(net(x), target).backward()
            optimiser.step()
    else:
        if variant == "jit":
            with torch.no_grad():
                net = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(net, x)))
        if variant == "compile":
            net = torch.compile(net)

        def run():
            with torch.inference_mode():
                net(x)

    for _ in range(3):
        run()
    times, owns, others, start = [], [], [], time.perf_counter()
    while len(times) < 5 or time.perf_counter() - start < seconds:
        busy, own, begin = busy_seconds(), time.process_time(), time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
        owns.append(time.process_time() - own)
        others.append((busy_seconds() - busy - owns[-1]) / times[-1])
    # /proc/stat counts in hundredths of a second, hence the allowance
    quiet = [t for t, other in zip(times, others) if other < 0.06 + 0.01 / t]
    return {
        "bench": bench,
        "framework": "pytorch " + torch.__version__.split("a")[0].split("+")[0],
        "format": memory_format,
        "variant": variant,
        "median_ms": round(statistics.median(quiet if len(quiet) >= 5 else times) * 1e3, 2),
        "min_ms": round(min(times) * 1e3, 2),
        "runs": len(times),
        "quiet_runs": len(quiet),
        "cpu_ms": round(min(owns) * 1e3, 2),
        "cpu_per_wall": round(sum(owns) / sum(times), 2),
        "threads": torch.get_num_threads(),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def blas_gflops(threads):
    """What a float32 matrix product reaches, GFLOP/s: Debian's PyTorch may sit on a slow BLAS."""
    import torch

    torch.set_num_threads(threads)
    a, n = torch.rand(768, 768), 768
    torch.mm(a, a)
    best = 1e9
    for _ in range(10):
        begin = time.perf_counter()
        torch.mm(a, a)
        best = min(best, time.perf_counter() - begin)
    return {"bench": "blas_gflops", "framework": "pytorch", "gflops": round(2 * n**3 / best / 1e9, 1)}


def main():
    args = options()
    if args.measure:
        bench, memory_format, variant = args.measure
        if bench == "blas_gflops":
            result = blas_gflops(args.threads)
        else:
            result = measure(bench, memory_format, variant, args.threads, args.seconds)
        print("result " + json.dumps(result))
        return

    environment = dict(
        os.environ,
        OMP_NUM_THREADS=str(args.threads),
        MALLOC_MMAP_MAX_="0",
        MALLOC_TRIM_THRESHOLD_="8589934592",
    )

    def measured(bench, memory_format, variant):
        command = [sys.executable, __file__, "--threads", str(args.threads), "--seconds", str(args.seconds)]
        command += ["--measure", bench, memory_format, variant]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        lines = [line for line in done.stdout.splitlines() if line.startswith("result ")]
        if done.returncode or not lines:
            reason = (done.stderr.strip().splitlines() or ["no output"])[-1]
            print(f"{bench} {memory_format} {variant}: {reason}", file=sys.stderr)
            return None
        return json.loads(lines[-1][7:])

    blas = measured("blas_gflops", "-", "-")
    if blas is None:
        raise SystemExit("PyTorch does not run here")
    print(json.dumps(blas), flush=True)
    for bench, (_, mode, _) in BENCHES.items():
        if args.only not in bench:
            continue
        variants = ["eager"] + ["jit"] * (mode == "infer") + ["compile"] * args.compile
        results = []
        for memory_format in [args.format] if args.format else FORMATS:
            for variant in variants:
                result = measured(bench, memory_format, variant)
                if result and not args.best:
                    print(json.dumps(result), flush=True)
                elif result:
                    results.append(result)
        if results:
            print(json.dumps(min(results, key=lambda result: result["min_ms"])), flush=True)


if __name__ == "__main__":
    main()
