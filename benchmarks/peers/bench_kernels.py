#!/usr/bin/env python3
"""The work of benchmarks/kernels on a GPU, done by PyTorch, operation by operation.

    python3 benchmarks/peers/bench_kernels.py [--only softmax] [--csv kernels.csv] [--seconds 0.1]

Eager, activations in channels-last memory. Prints (or appends to --csv) rows in the format of the kernels' programs, of
the same suites and cases with the variant "PyTorch", so that they land in the same table and roofline. Times are measured
as theirs are: single runs between two events, the L2 cache flushed before each, the median; the ceilings are a copy of
1 GiB and a product of 8192 x 8192 matrices in bf16. --device cpu --small is for trying the script out.
"""

import argparse
import csv
import os
import statistics
import sys
import time

import torch
import torch.nn.functional as F

COLUMNS = ["device", "suite", "case", "variant", "seconds", "bytes", "flops", "copy_ceiling", "flop_ceiling"]
TYPES = {"float": torch.float32, "bf16": torch.bfloat16}


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="cases whose suite or name contains this")
    parser.add_argument("--csv", help="append the rows to this file")
    parser.add_argument("--seconds", type=float, default=0.1, help="time for each measurement")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="batches of 2, to try the script out")
    return parser.parse_args()


class Timer:
    """Median seconds of single runs with a cold L2 cache."""

    def __init__(self, device, seconds):
        self.on_gpu, self.seconds = device == "cuda", seconds
        if self.on_gpu:
            cache = torch.cuda.get_device_properties(0).L2_cache_size
            # So large that Python has queued what is timed before the device is done with it.
            self.flush = torch.empty(max(2 * cache, 1 << 30), dtype=torch.uint8, device=device)

    def __call__(self, run):
        times, total = [], 0
        for i in range(1000):
            if i >= 9 and total >= self.seconds:
                break
            if self.on_gpu:
                begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
                self.flush.zero_()
                begin.record()
                run()
                end.record()
                end.synchronize()
                taken = begin.elapsed_time(end) * 1e-3
            else:
                begin = time.perf_counter()
                run()
                taken = time.perf_counter() - begin
            total += taken
            if i >= 2:  # the first ones load the code, and choose algorithms
                times.append(taken)
        return statistics.median(times)


class Cases:
    """Yields (suite, case, bytes, flops, make), make() giving what is timed."""

    def __init__(self, device, small):
        self.device, self.small = device, small

    def batch(self, n):
        return min(n, 2) if self.small else n

    def rand(self, *shape, dtype=torch.float32, low=-1.0, high=1.0):
        return torch.empty(shape, device=self.device).uniform_(low, high).to(dtype)

    def maps(self, n, c, h, w, dtype):
        return self.rand(n, c, h, w, dtype=dtype).contiguous(memory_format=torch.channels_last)

    def all(self):
        for name, dtype in TYPES.items():
            for suite in (self.elementwise, self.relayout, self.reduce, self.softmax, self.losses, self.dropout,
                          self.image, self.batch_norm, self.pool, self.upsample, self.temporal_shift, self.lstm):
                yield from suite(name, dtype)
        yield from self.optim()
        for precision in ("float", "TF32", "bf16"):
            yield from self.gemm(precision)
            yield from self.conv2d(precision)

    def elementwise(self, name, dtype):
        for n, c, side in ((64, 256, 16), (128, 256, 56)):
            n = self.batch(n)
            size = f"[{n}, {c}, {side}, {side}], {name}"
            nbytes = n * c * side * side * dtype.itemsize

            def relu(n=n, c=c, side=side):
                x = self.maps(n, c, side, side, dtype)
                y = torch.empty_like(x)
                return lambda: torch.clamp_min(x, 0, out=y)

            def add(n=n, c=c, side=side):
                a, b = self.maps(n, c, side, side, dtype), self.maps(n, c, side, side, dtype)
                y = torch.empty_like(a)
                return lambda: torch.add(a, b, out=y)

            def bias(n=n, c=c, side=side):
                a, b = self.maps(n, c, side, side, dtype), self.rand(1, c, 1, 1, dtype=dtype)
                y = torch.empty_like(a)
                return lambda: torch.add(a, b, out=y)

            yield "elementwise", f"ReLU, {size}", 2 * nbytes, 0, relu
            yield "elementwise", f"sum of two, {size}", 3 * nbytes, 0, add
            yield "elementwise", f"bias, {size}", 2 * nbytes, 0, bias

    def relayout(self, name, dtype):
        last, first = torch.channels_last, torch.contiguous_format
        for text, source, target, n, c, side in (("NCHW to NHWC", first, last, 128, 3, 224),
                                                 ("NCHW to NHWC", first, last, 128, 64, 112),
                                                 ("NHWC to NCHW", last, first, 128, 64, 112),
                                                 ("NCHW to NHWC", first, last, 64, 256, 16)):
            n = self.batch(n)

            def turn(source=source, target=target, n=n, c=c, side=side):
                x = self.rand(n, c, side, side, dtype=dtype).contiguous(memory_format=source)
                y = torch.empty_like(x, memory_format=target)
                return lambda: y.copy_(x)

            yield "relayout", f"{text}, [{n}, {c}, {side}, {side}], {name}", 2 * n * c * side * side * dtype.itemsize, 0, turn
        n = self.batch(128)

        def pad(n=n):
            x = self.rand(n, 3, 224, 224, dtype=dtype)
            return lambda: F.pad(x, (0, 0, 0, 0, 0, 5)).contiguous(memory_format=last)

        yield "relayout", f"3 channels to 8, [{n}, 3, 224, 224], {name}", n * 224 * 224 * 11 * dtype.itemsize, 0, pad

    def reduce(self, name, dtype):
        n = 1 << (12 if self.small else 25)

        def everything():
            x = self.rand(n, dtype=dtype)
            return lambda: torch.sum(x, dtype=torch.float32)

        yield "reduce", f"sum of {n}, {name}", n * dtype.itemsize, 0, everything
        for rows, cols in ((8192, 1000), (64 * 16 * 16, 256), (128 * 56 * 56, 64)):
            rows = self.batch(rows)
            for axis, words in ((1, "rows"), (0, "columns")):

                def sums(rows=rows, cols=cols, axis=axis):
                    x = self.rand(rows, cols, dtype=dtype)
                    return lambda: torch.sum(x, axis, dtype=torch.float32)

                yield "reduce", f"sums of {words}, {rows} x {cols}, {name}", rows * cols * dtype.itemsize, 0, sums

    def softmax(self, name, dtype):
        for rows, cols in ((64, 24), (8192, 1000), (2048, 32000)):
            rows = self.batch(rows)
            nbytes = rows * cols * dtype.itemsize

            def forward(rows=rows, cols=cols):
                x = self.rand(rows, cols, dtype=dtype, low=-4, high=4)
                return lambda: torch.softmax(x, 1)

            def backward(rows=rows, cols=cols):
                y, dy = torch.softmax(self.rand(rows, cols, dtype=dtype), 1), self.rand(rows, cols, dtype=dtype)
                return lambda: torch.ops.aten._softmax_backward_data(dy, y, 1, dtype)

            yield "softmax", f"softmax, {rows} x {cols}, {name}", 2 * nbytes, 0, forward
            yield "softmax", f"softmax backward, {rows} x {cols}, {name}", 3 * nbytes, 0, backward

    def losses(self, name, dtype):
        def gradient_of(loss, x, target):
            x.requires_grad_()
            return lambda: torch.autograd.grad(loss(x, target), x)

        for rows, cols in ((64, 24), (8192, 1000), (2048, 32000)):
            rows = self.batch(rows)

            def labels(rows=rows, cols=cols):
                return gradient_of(F.cross_entropy, self.rand(rows, cols, dtype=dtype, low=-4, high=4),
                                   torch.randint(cols, (rows,), device=self.device))

            yield ("cross_entropy", f"loss and gradient, {rows} x {cols}, {name}", 2 * rows * cols * dtype.itemsize, 0,
                   labels)
        rows, cols = self.batch(8192), 1000

        def bce():
            return gradient_of(F.binary_cross_entropy_with_logits, self.rand(rows, cols, dtype=dtype, low=-4, high=4),
                               self.rand(rows, cols, dtype=dtype, low=0))

        yield "bce_with_logits", f"loss and gradient, {rows} x {cols}, {name}", 3 * rows * cols * dtype.itemsize, 0, bce
        for n in (64 * 3 * 64 * 64, 128 * 3 * 224 * 224):
            n = 1000 if self.small else n

            def mse(n=n):
                return gradient_of(F.mse_loss, self.rand(n, dtype=dtype), self.rand(n, dtype=dtype))

            yield "mse", f"loss and gradient, {n}, {name}", 3 * n * dtype.itemsize, 0, mse

    def dropout(self, name, dtype):
        for rows, channels in ((64, 4096), (8192, 4096)):
            rows = self.batch(rows)
            size, nbytes = f"{rows} x {channels}, {name}", rows * channels * dtype.itemsize

            def forward(rows=rows, channels=channels):
                x, bias = self.rand(rows, channels, dtype=dtype), self.rand(channels, dtype=dtype)
                return lambda: F.dropout(F.relu(x + bias), 0.5)

            def backward(rows=rows, channels=channels):
                x, bias = self.rand(rows, channels, dtype=dtype).requires_grad_(), self.rand(channels, dtype=dtype)
                dy, y = self.rand(rows, channels, dtype=dtype), F.dropout(F.relu(x + bias), 0.5)
                return lambda: torch.autograd.grad(y, x, dy, retain_graph=True)

            yield "dropout", f"bias, ReLU and dropout, {size}", 2 * nbytes, 0, forward
            yield "dropout", f"bias, ReLU and dropout backward, {size}", 3 * nbytes, 0, backward

    def image(self, name, dtype):
        for padded in (3, 8):
            for n, side in ((64, 64), (128, 224)):
                n = self.batch(n)

                def normalise(padded=padded, n=n, side=side):
                    x = torch.randint(256, (n, side, side, 3), dtype=torch.uint8, device=self.device)
                    flip = torch.randint(2, (n, 1, 1, 1), device=self.device).bool()
                    factor = self.rand(3, low=0.01, high=0.02).to(dtype)
                    shift = self.rand(3).to(dtype)

                    def run():
                        y = torch.where(flip, x.flip(2), x).to(dtype) * factor + shift
                        return F.pad(y, (0, padded - 3)) if padded > 3 else y

                    return run

                yield ("image", f"[{n}, {side}, {side}, 3] to {padded} channels, {name}",
                       n * side * side * (3 + padded * dtype.itemsize), 0, normalise)

    def batch_norm(self, name, dtype):
        for n, side, c in ((64, 16, 256), (128, 56, 64), (128, 7, 2048)):
            n = self.batch(n)
            size, nbytes = f"[{n}, {c}, {side}, {side}], {name}", n * c * side * side * dtype.itemsize

            def layer(n=n, side=side, c=c, grad=False):
                x = self.maps(n, c, side, side, dtype).requires_grad_(grad)
                gamma, beta = self.rand(c).requires_grad_(grad), self.rand(c).requires_grad_(grad)
                mean, variance = torch.zeros(c, device=self.device), torch.ones(c, device=self.device)
                return (x, gamma, beta), lambda: F.relu(F.batch_norm(x, mean, variance, gamma, beta, True, 0.1, 1e-5))

            def forward(layer=layer):
                return layer()[1]

            def backward(layer=layer, n=n, side=side, c=c):
                inputs, run = layer(grad=True)
                y, dy = run(), self.maps(n, c, side, side, dtype)
                return lambda: torch.autograd.grad(y, inputs, dy, retain_graph=True)

            yield "batch_norm", f"batch norm and ReLU, {size}", 2 * nbytes, 0, forward
            yield "batch_norm", f"batch norm and ReLU backward, {size}", 4 * nbytes, 0, backward

    def pool(self, name, dtype):
        for k, stride, padding, n, side, c in ((3, 2, 1, 64, 32, 64), (3, 2, 1, 128, 112, 64), (2, 2, 0, 64, 64, 32)):
            n = self.batch(n)
            out = (side + 2 * padding - k) // stride + 1
            size = f"{k}x{k}/{stride}, [{n}, {c}, {side}, {side}], {name}"
            nbytes = n * c * (side * side + out * out) * dtype.itemsize + n * c * out * out

            def forward(k=k, stride=stride, padding=padding, n=n, side=side, c=c):
                x = self.maps(n, c, side, side, dtype)
                return lambda: F.max_pool2d(x, k, stride, padding, return_indices=True)

            def backward(k=k, stride=stride, padding=padding, n=n, side=side, c=c, out=out):
                x, dy = self.maps(n, c, side, side, dtype).requires_grad_(), self.maps(n, c, out, out, dtype)
                y = F.max_pool2d(x, k, stride, padding)
                return lambda: torch.autograd.grad(y, x, dy, retain_graph=True)

            yield "pool", f"max pool, {size}", nbytes, 0, forward
            yield "pool", f"max pool backward, {size}", nbytes, 0, backward
        n, side, c = self.batch(128), 7, 2048
        size, nbytes = f"{n} x {side * side} x {c}, {name}", n * c * (side * side + 1) * dtype.itemsize

        def mean():
            x = self.maps(n, c, side, side, dtype)
            return lambda: x.mean((2, 3))

        def mean_backward():
            x, dy = self.maps(n, c, side, side, dtype).requires_grad_(), self.rand(n, c, dtype=dtype)
            y = x.mean((2, 3))
            return lambda: torch.autograd.grad(y, x, dy, retain_graph=True)

        yield "pool", f"global mean, {size}", nbytes, 0, mean
        yield "pool", f"global mean backward, {size}", nbytes, 0, mean_backward

    def upsample(self, name, dtype):
        for n, side, c in ((64, 16, 128), (128, 28, 128)):
            n = self.batch(n)
            size, nbytes = f"[{n}, {c}, {side}, {side}], {name}", n * c * side * side * dtype.itemsize

            def forward(n=n, side=side, c=c):
                x = self.maps(n, c, side, side, dtype)
                return lambda: F.interpolate(x, scale_factor=2)

            def with_sum(n=n, side=side, c=c):
                x, add = self.maps(n, c, side, side, dtype), self.maps(n, c, 2 * side, 2 * side, dtype)
                return lambda: F.interpolate(x, scale_factor=2) + add

            def backward(n=n, side=side, c=c):
                x = self.maps(n, c, side, side, dtype).requires_grad_()
                y, dy = F.interpolate(x, scale_factor=2), self.maps(n, c, 2 * side, 2 * side, dtype)
                return lambda: torch.autograd.grad(y, x, dy, retain_graph=True)

            yield "upsample", f"upsample, {size}", 5 * nbytes, 0, forward
            yield "upsample", f"upsample and sum, {size}", 9 * nbytes, 0, with_sum
            yield "upsample", f"upsample backward, {size}", 5 * nbytes, 0, backward

    def temporal_shift(self, name, dtype):
        for clips, segments, side, c in ((8, 8, 16, 256), (16, 8, 56, 256)):
            clips = self.batch(clips)

            def shift(clips=clips, segments=segments, side=side, c=c):
                x, fold = self.rand(clips, segments, side, side, c, dtype=dtype), c // 8
                y = torch.empty_like(x)

                def run():
                    y[:, :-1, ..., :fold] = x[:, 1:, ..., :fold]
                    y[:, -1, ..., :fold] = 0
                    y[:, 1:, ..., fold:2 * fold] = x[:, :-1, ..., fold:2 * fold]
                    y[:, 0, ..., fold:2 * fold] = 0
                    y[..., 2 * fold:] = x[..., 2 * fold:]

                return run

            yield ("temporal_shift", f"{clips} clips of [{segments}, {c}, {side}, {side}], {name}",
                   2 * clips * segments * side * side * c * dtype.itemsize, 0, shift)

    def lstm(self, name, dtype):
        for batch, hidden in ((64, 512), (4096, 1024)):
            batch = self.batch(batch)
            size, n = f"{batch} x {hidden}, {name}", batch * hidden

            def cell(batch=batch, hidden=hidden, grad=False):
                p = self.rand(batch, 4 * hidden, dtype=dtype).requires_grad_(grad)
                bias, c = self.rand(4 * hidden, dtype=dtype), self.rand(batch, hidden).requires_grad_(grad)

                def run():
                    i, f, g, o = (p + bias).chunk(4, 1)
                    state = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
                    return torch.sigmoid(o) * torch.tanh(state).to(dtype), state

                return (p, c), run

            def forward(cell=cell):
                return cell()[1]

            def backward(cell=cell, batch=batch, hidden=hidden):
                inputs, run = cell(grad=True)
                outputs, upstream = run(), (self.rand(batch, hidden, dtype=dtype), self.rand(batch, hidden))
                return lambda: torch.autograd.grad(outputs, inputs, upstream, retain_graph=True)

            yield "lstm", f"cell, {size}", n * (9 * dtype.itemsize + 8), 0, forward
            yield "lstm", f"cell backward, {size}", n * (9 * dtype.itemsize + 16), 0, backward

    def optim(self):
        """Weights and gradients in float alone: PyTorch's optimisers take no gradients of another type."""
        n, count = (20011, 9) if self.small else (25600000, 161)
        sizes, at = [], 0
        for i in range(count - 1):  # as benchmarks/kernels/optim.cu cuts them
            size = min(n - at, 2 * n // count // 8 * 8 if i % 3 == 0 else 64 if i % 3 == 1 else 256)
            if size == 0:
                break
            sizes.append(size)
            at += size
        if at < n:
            sizes.append(n - at)
        on_gpu = self.device == "cuda"

        def step(make):
            weights = [self.rand(size).requires_grad_() for size in sizes]
            for w in weights:
                w.grad = torch.rand_like(w)
            return make(weights).step

        words = f"{n} weights in {len(sizes)} tensors, gradients in float"
        yield ("optim", f"AdamW, {words}", n * 28, 0,
               lambda: step(lambda w: torch.optim.AdamW(w, 1e-3, eps=1e-7, fused=on_gpu)))
        yield ("optim", f"SGD with momentum, {words}", n * 20, 0,
               lambda: step(lambda w: torch.optim.SGD(w, 0.1, momentum=0.9, weight_decay=1e-4, fused=on_gpu)))

    def gemm(self, precision):
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        sizes = [(4096, 4096, 4096, False), (4096, 4096, 4096, True), (64, 1000, 2048, True),
                 (64 * 16 * 16, 256, 64, True), (128 * 56 * 56, 64, 256, True)]
        if precision == "bf16":
            sizes.append((8192, 8192, 8192, False))
        for m, n, k, transposed in sizes:
            if self.small:
                m, n, k = min(m, 32), min(n, 32), min(k, 32)

            def product(m=m, n=n, k=k, transposed=transposed):
                a = self.rand(m, k, dtype=dtype)
                b = self.rand(n, k, dtype=dtype).t() if transposed else self.rand(k, n, dtype=dtype)
                c = torch.empty(m, n, dtype=dtype, device=self.device)
                return lambda: torch.mm(a, b, out=c)

            yield ("gemm", f"{m} x {n} x {k}{', B transposed' if transposed else ''}, {precision}",
                   (m * k + k * n + m * n) * dtype.itemsize, 2 * m * n * k, product)

    def conv2d(self, precision):
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        for batch, side, inputs, outputs, k, stride in ((64, 16, 64, 64, 3, 1), (128, 224, 8, 64, 7, 2),
                                                        (128, 56, 64, 64, 3, 1), (128, 56, 256, 64, 1, 1),
                                                        (128, 14, 256, 256, 3, 1)):
            batch = self.batch(batch)
            padding, out = k // 2, (side + 2 * (k // 2) - k) // stride + 1
            size = f"{k}x{k}/{stride} {inputs} to {outputs}, {batch} of {side} x {side}, {precision}"
            weights = outputs * inputs * k * k
            nbytes = (batch * (side * side * inputs + out * out * outputs) + weights) * dtype.itemsize
            flops = 2 * batch * out * out * outputs * inputs * k * k

            def tensors(batch=batch, side=side, inputs=inputs, outputs=outputs, k=k, out=out):
                return (self.maps(batch, inputs, side, side, dtype), self.maps(outputs, inputs, k, k, dtype),
                        self.maps(batch, outputs, out, out, dtype))

            def forward(tensors=tensors, stride=stride, padding=padding):
                x, w, _ = tensors()
                return lambda: F.conv2d(x, w, None, stride, padding)

            def backward(mask, tensors=tensors, stride=stride, padding=padding):
                x, w, dy = tensors()
                return lambda: torch.ops.aten.convolution_backward(
                    dy, x, w, None, [stride, stride], [padding, padding], [1, 1], False, [0, 0], 1, mask)

            yield "conv2d", f"forward, {size}", nbytes, flops, forward
            yield ("conv2d", f"gradient of x, {size}", nbytes, flops,
                   lambda backward=backward: backward([True, False, False]))
            yield ("conv2d", f"gradient of w, {size}", nbytes, flops,
                   lambda backward=backward: backward([False, True, False]))


def ceilings(args, timer):
    """Bytes a second of a copy, FLOPs a second of the largest product."""
    n, side = (1 << 20, 64) if args.small else (1 << 30, 8192)
    x = torch.ones(n, dtype=torch.uint8, device=args.device)
    y = torch.empty_like(x)
    copy = 2 * n / timer(lambda: y.copy_(x))
    a, b = (torch.empty(side, side, device=args.device).uniform_(-1, 1).bfloat16() for _ in range(2))
    return copy, 2 * side**3 / timer(lambda: a @ b)


def main():
    args = options()
    if args.device == "cuda" and not torch.cuda.is_available():
        print("bench_kernels.py: torch sees no GPU; --device cpu --small tries the script out", file=sys.stderr)
        sys.exit(2)
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    timer = Timer(args.device, args.seconds)
    copy_ceiling, flop_ceiling = ceilings(args, timer)
    device = torch.cuda.get_device_name() if args.device == "cuda" else "cpu"
    file = open(args.csv, "a", newline="", encoding="utf-8") if args.csv else sys.stdout
    rows = csv.writer(file, lineterminator="\n")
    if not args.csv or os.path.getsize(args.csv) == 0:
        rows.writerow(COLUMNS)
    failures = 0
    for suite, case, nbytes, flops, make in Cases(args.device, args.small).all():
        if args.only not in suite and args.only not in case:
            continue
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = case.endswith("TF32")
        try:
            seconds = timer(make())
        except (RuntimeError, NotImplementedError) as error:
            print(f"{suite}, {case}: {str(error).splitlines()[0]}", file=sys.stderr)
            failures += 1
            continue
        rows.writerow([device, suite, case, "PyTorch", f"{seconds:.9g}", nbytes, flops, f"{copy_ceiling:.9g}",
                       f"{flop_ceiling:.9g}"])
        file.flush()
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
