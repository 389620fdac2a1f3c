"""Makes the golden files of tests/data/ops: inputs, outputs and gradients of every op, as PyTorch and Keras
compute them.

    python3 tools/make_oracles.py torch     every op and optimiser, from PyTorch (needs torch >= 1.13)
    python3 tools/make_oracles.py keras     layers and Adam as Keras defines them (needs tensorflow with Keras 3)
    python3 tools/make_oracles.py check     recomputes keras.safetensors in PyTorch: are its conversions right?

Inputs are float32; everything is computed in float64 from them and rounded to float32 at the end, so a golden
value is the true one to half a unit in the last place. `grad_y` is the random gradient that was fed back
through `y`. Inputs are drawn again until no rectifier sits within 1e-4 of its kink, so that a float32
implementation takes the same branches. tests/data/README.md describes the files.
"""

import sys

import numpy as np

from golden import DATA, Golden, read


def normal(rng, *shape, scale=1.0):
    return np.asarray(rng.standard_normal(shape) * scale, dtype=np.float32)


# ----------------------------------------------------------------------------------------------------------
# PyTorch


def make_torch():
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(1)

    def differentiate(function, inputs, rng, kink=None):
        """Runs function on float64 copies of the inputs and back from a random grad_y. Returns the tensors of
        a case: inputs, y, grad_y, grad_<input>; or None where the kink (a function of the same inputs) comes
        near zero."""
        held = {
            k: None if v is None else torch.from_numpy(v).double().requires_grad_() for k, v in inputs.items()
        }
        if kink is not None and float(kink(**held).detach().abs().min()) < 1e-4:
            return None
        y = function(**held)
        grad_y = normal(rng, *y.shape)
        y.backward(torch.from_numpy(grad_y).double())
        tensors = dict(inputs, y=y.detach().numpy(), grad_y=grad_y)
        for name, value in held.items():
            if value is not None and value.grad is not None:
                tensors["grad_" + name] = value.grad.numpy()
        return tensors

    def until_smooth(seed, draw, function, kink=None):
        """differentiate() with inputs = draw(rng), over seeds until no kink is near."""
        for attempt in range(1000):
            rng = np.random.default_rng((seed, attempt))
            tensors = differentiate(function, draw(rng), rng, kink)
            if tensors is not None:
                return tensors
        raise SystemExit("no smooth draw in 1000")

    # ---- convolutions
    golden = Golden("ops/conv2d.safetensors", "torch.nn.functional.conv2d, then relu where relu is true")
    # batch, in, out, height, width, kernel h, w, stride, padding, dilation, groups, bias, relu
    for seed, (n, ci, co, h, w, kh, kw, stride, padding, dilation, groups, bias, relu) in enumerate(
        [
            (2, 3, 8, 7, 9, 3, 3, 1, 1, 1, 1, True, False),
            (2, 3, 8, 7, 9, 3, 3, 1, 1, 1, 1, False, False),
            (1, 3, 16, 11, 13, 5, 5, 1, 2, 1, 1, True, True),
            (2, 3, 16, 13, 11, 7, 7, 2, 3, 1, 1, False, False),
            (1, 8, 8, 12, 12, 3, 3, 1, 1, 1, 1, True, True),
            (2, 16, 8, 5, 7, 3, 3, 2, 1, 1, 1, True, False),
            (1, 17, 17, 7, 5, 3, 3, 1, 1, 1, 1, True, True),
            (1, 32, 16, 8, 8, 3, 3, 1, 1, 1, 1, True, True),
            (1, 16, 9, 9, 9, 3, 3, 2, 0, 1, 1, False, False),
            (2, 32, 8, 6, 5, 1, 1, 1, 0, 1, 1, True, True),
            (2, 8, 32, 7, 7, 1, 1, 2, 0, 1, 1, False, False),
            (3, 17, 5, 1, 1, 1, 1, 1, 0, 1, 1, True, False),
            (2, 8, 16, 1, 1, 3, 3, 1, 1, 1, 1, True, True),
            (2, 16, 8, 2, 2, 3, 3, 1, 1, 1, 1, False, False),
            (1, 8, 16, 12, 12, 5, 5, 1, 2, 1, 1, True, True),
            (1, 16, 8, 10, 11, 5, 5, 2, 2, 1, 1, True, False),
            (1, 8, 3, 9, 10, 5, 5, 1, 0, 1, 1, True, False),
            (1, 3, 4, 9, 9, 3, 3, 1, 3, 1, 1, True, False),
            (1, 8, 8, 11, 11, 3, 3, 1, 2, 2, 1, True, False),
            (1, 3, 5, 13, 9, 3, 3, 2, 2, 3, 1, False, False),
            (2, 8, 8, 7, 7, 3, 3, 1, 1, 1, 8, True, True),
            (1, 16, 16, 9, 7, 5, 5, 2, 2, 1, 16, False, False),
            (1, 16, 32, 6, 6, 3, 3, 1, 1, 1, 4, True, False),
            (1, 6, 9, 7, 7, 3, 3, 1, 1, 1, 3, True, True),
            (1, 4, 8, 7, 7, 3, 3, 1, 1, 1, 4, True, False),
            (1, 5, 7, 8, 11, 3, 5, 1, 1, 1, 1, True, False),
            (1, 1, 1, 3, 3, 3, 3, 1, 0, 1, 1, True, False),
            (1, 3, 8, 11, 13, 7, 7, 1, 3, 1, 1, True, True),
            (5, 2, 3, 4, 4, 3, 3, 1, 1, 1, 1, True, True),
        ]
    ):

        def convolve(x, w, b):
            return F.conv2d(x, w, b, stride, padding, dilation, groups)

        tensors = until_smooth(
            (1, seed),
            lambda rng: dict(
                x=normal(rng, n, ci, h, w),
                w=normal(rng, co, ci // groups, kh, kw, scale=(ci // groups * kh * kw) ** -0.5),
                b=normal(rng, co, scale=0.3) if bias else None,
            ),
            (lambda **t: F.relu(convolve(**t))) if relu else convolve,
            convolve if relu else None,
        )
        golden.case(
            dict(stride=stride, padding=padding, dilation=dilation, groups=groups, relu=relu), **tensors
        )
    golden.write()

    golden = Golden(
        "ops/conv_transpose2d.safetensors",
        "torch.nn.functional.conv_transpose2d, then relu where relu is true",
    )
    # batch, in, out, height, width, kernel, stride, padding, output_padding, groups, bias, relu
    for seed, (n, ci, co, h, w, k, stride, padding, output_padding, groups, bias, relu) in enumerate(
        [
            (2, 3, 8, 5, 7, 3, 1, 1, 0, 1, True, False),
            (1, 32, 16, 4, 4, 3, 1, 1, 0, 1, True, True),
            (1, 16, 8, 8, 8, 3, 1, 1, 0, 1, True, True),
            (2, 8, 5, 5, 3, 3, 2, 1, 1, 1, True, False),
            (1, 8, 16, 5, 6, 3, 2, 1, 0, 1, False, False),
            (1, 17, 3, 4, 5, 5, 2, 2, 1, 1, True, False),
            (2, 3, 4, 1, 1, 3, 1, 0, 0, 1, True, False),
            (1, 4, 6, 3, 5, 2, 2, 0, 0, 1, True, True),
            (1, 7, 5, 3, 4, 4, 2, 1, 0, 1, True, False),
            (1, 8, 8, 5, 5, 3, 2, 1, 1, 4, True, False),
            (1, 5, 7, 6, 5, 1, 1, 0, 0, 1, True, False),
            (1, 8, 8, 6, 7, 5, 1, 2, 0, 1, True, True),
        ]
    ):

        def convolve(x, w, b):
            return F.conv_transpose2d(x, w, b, stride, padding, output_padding, groups)

        tensors = until_smooth(
            (2, seed),
            lambda rng: dict(
                x=normal(rng, n, ci, h, w),
                w=normal(rng, ci, co // groups, k, k, scale=(ci // groups * k * k / stride**2) ** -0.5),
                b=normal(rng, co, scale=0.3) if bias else None,
            ),
            (lambda **t: F.relu(convolve(**t))) if relu else convolve,
            convolve if relu else None,
        )
        golden.case(
            dict(stride=stride, padding=padding, output_padding=output_padding, groups=groups, relu=relu),
            **tensors,
        )
    golden.write()

    # ---- linear, matmul
    golden = Golden(
        "ops/linear.safetensors", "torch.nn.functional.linear (x w^T + b), then relu where relu is true"
    )
    for seed, (n, i, o, bias, relu) in enumerate(
        [
            (4, 8, 16, True, False),
            (7, 17, 13, True, True),
            (5, 11, 3, False, False),
            (1, 1, 1, True, False),
            (1, 64, 24, True, True),
            (33, 5, 24, True, False),
            (9, 100, 13, False, True),
        ]
    ):
        tensors = until_smooth(
            (3, seed),
            lambda rng: dict(
                x=normal(rng, n, i), w=normal(rng, o, i, scale=i**-0.5), b=normal(rng, o) if bias else None
            ),
            (lambda x, w, b: F.relu(F.linear(x, w, b))) if relu else (lambda x, w, b: F.linear(x, w, b)),
            (lambda x, w, b: F.linear(x, w, b)) if relu else None,
        )
        golden.case(dict(relu=relu), **tensors)
    golden.write()

    golden = Golden(
        "ops/matmul.safetensors", "torch.matmul of 2-D operands, each first transposed where said"
    )
    for seed, (m, k, n, transpose_a, transpose_b) in enumerate(
        [
            (4, 5, 6, False, False),
            (17, 13, 11, False, False),
            (7, 19, 5, True, False),
            (8, 16, 32, False, True),
            (9, 3, 10, True, True),
            (1, 31, 1, False, False),
            (23, 1, 29, False, False),
        ]
    ):
        tensors = until_smooth(
            (4, seed),
            lambda rng: dict(
                a=normal(rng, *((k, m) if transpose_a else (m, k))),
                b=normal(rng, *((n, k) if transpose_b else (k, n))),
            ),
            lambda a, b: (a.T if transpose_a else a) @ (b.T if transpose_b else b),
        )
        golden.case(dict(transpose_a=transpose_a, transpose_b=transpose_b), **tensors)
    golden.write()

    # ---- batch norm
    golden = Golden(
        "ops/batch_norm.safetensors",
        "torch.nn.functional.batch_norm over all axes but 1, then + residual where add, then relu where relu; "
        "running = (1 - momentum) running + momentum batch, with the unbiased batch variance",
    )
    for seed, (n, c, h, w, training, relu, add, eps, momentum) in enumerate(
        [
            (4, 3, 5, 7, True, False, False, 1e-5, 0.1),
            (4, 8, 4, 4, True, True, False, 1e-5, 0.1),
            (2, 16, 5, 3, True, True, True, 1e-5, 0.1),
            (3, 17, 3, 3, True, False, True, 1.001e-5, 0.01),
            (2, 32, 4, 4, True, True, True, 1.001e-5, 0.01),
            (8, 16, 2, 2, True, False, False, 1.001e-5, 0.01),
            (5, 7, 1, 1, True, True, False, 1e-5, 0.1),
            (4, 3, 5, 7, False, False, False, 1e-5, 0.1),
            (2, 17, 3, 5, False, True, False, 1.001e-5, 0.01),
            (2, 16, 4, 4, False, True, True, 1.001e-5, 0.01),
            (1, 8, 7, 5, False, False, True, 1e-5, 0.1),
            (3, 5, 4, 6, True, True, True, 1e-3, 0.3),
        ]
    ):
        running = {}

        def normalise(x, gamma, beta, residual, mean, var):
            running["mean"], running["var"] = mean.detach().clone(), var.detach().clone()
            y = F.batch_norm(x, running["mean"], running["var"], gamma, beta, training, momentum, eps)
            return y if residual is None else y + residual

        def draw(rng):
            shift = np.arange(c, dtype=np.float32).reshape(1, c, 1, 1) % 5 - 2
            spread = 0.5 + np.arange(c, dtype=np.float32).reshape(1, c, 1, 1) % 3
            return dict(
                x=normal(rng, n, c, h, w) * spread + shift,
                gamma=1 + normal(rng, c, scale=0.3),
                beta=normal(rng, c, scale=0.3),
                residual=normal(rng, n, c, h, w) if add else None,
                mean=normal(rng, c),
                var=rng.uniform(0.5, 3, c).astype(np.float32),
            )

        tensors = until_smooth(
            (5, seed),
            draw,
            (lambda **t: F.relu(normalise(**t))) if relu else normalise,
            normalise if relu else None,
        )
        tensors["running_mean"], tensors["running_var"] = tensors.pop("mean"), tensors.pop("var")
        tensors.pop("grad_mean", None), tensors.pop("grad_var", None)  # statistics take no gradient
        if training:
            tensors["running_mean_after"] = running["mean"].numpy()
            tensors["running_var_after"] = running["var"].numpy()
        golden.case(dict(training=training, relu=relu, add=add, eps=eps, momentum=momentum), **tensors)
    golden.write()

    # ---- pooling, upsampling
    golden = Golden(
        "ops/pool.safetensors",
        "op = max_pool2d | avg_pool2d | global_avg_pool. max_pool2d pads with -infinity; where ties is true the input "
        "has equal maxima and the gradient goes to the first in row-major order; count_include_pad as in PyTorch",
    )
    for seed, (n, c, h, w, kernel, stride, padding, ties) in enumerate(
        [
            (2, 3, 8, 8, 2, 2, 0, False),
            (1, 32, 4, 4, 2, 2, 0, False),
            (1, 17, 7, 9, 2, 2, 0, False),
            (2, 8, 9, 11, 3, 2, 1, False),
            (1, 16, 10, 12, 3, 2, 1, False),
            (1, 5, 7, 7, 3, 1, 1, False),
            (1, 4, 11, 13, 3, 2, 0, False),
            (2, 3, 2, 3, 2, 2, 0, False),
            (2, 3, 1, 1, 3, 2, 1, False),
            (1, 8, 8, 8, 2, 2, 0, True),
            (1, 8, 7, 7, 3, 2, 1, True),
        ]
    ):
        tensors = until_smooth(
            (6, seed),
            lambda rng: dict(x=np.maximum(normal(rng, n, c, h, w), 0) if ties else normal(rng, n, c, h, w)),
            lambda x: F.max_pool2d(x, kernel, stride, padding),
        )
        golden.case(
            dict(op="max_pool2d", kernel=kernel, stride=stride, padding=padding, ties=ties), **tensors
        )
    for seed, (n, c, h, w, kernel, stride, padding, count_include_pad) in enumerate(
        [
            (2, 3, 8, 8, 2, 2, 0, True),
            (1, 17, 7, 9, 2, 2, 0, True),
            (1, 8, 9, 7, 3, 2, 1, True),
            (1, 8, 9, 7, 3, 2, 1, False),
            (1, 5, 6, 7, 3, 1, 1, False),
        ]
    ):
        tensors = until_smooth(
            (7, seed),
            lambda rng: dict(x=normal(rng, n, c, h, w)),
            lambda x: F.avg_pool2d(x, kernel, stride, padding, count_include_pad=count_include_pad),
        )
        golden.case(
            dict(
                op="avg_pool2d",
                kernel=kernel,
                stride=stride,
                padding=padding,
                count_include_pad=count_include_pad,
            ),
            **tensors,
        )
    for seed, shape in enumerate([(2, 3, 5, 7), (3, 17, 2, 2), (2, 32, 1, 1), (1, 8, 7, 7)]):
        tensors = until_smooth(
            (8, seed), lambda rng: dict(x=normal(rng, *shape)), lambda x: x.mean(dim=(2, 3))
        )
        golden.case(dict(op="global_avg_pool"), **tensors)
    golden.write()

    golden = Golden(
        "ops/upsample.safetensors", "torch.nn.functional.interpolate, mode nearest, integer scale"
    )
    for seed, (shape, scale) in enumerate(
        [
            ((2, 3, 4, 5), 2),
            ((1, 32, 3, 3), 2),
            ((1, 17, 2, 3), 3),
            ((2, 8, 1, 1), 2),
            ((1, 5, 5, 1), 3),
            ((1, 2, 3, 4), 1),
        ]
    ):
        tensors = until_smooth(
            (9, seed),
            lambda rng: dict(x=normal(rng, *shape)),
            lambda x: F.interpolate(x, scale_factor=scale, mode="nearest"),
        )
        golden.case(dict(scale=scale), **tensors)
    golden.write()

    # ---- elementwise
    golden = Golden(
        "ops/activation.safetensors",
        "op = relu sigmoid tanh exp log sqrt gelu | softmax log_softmax over dim",
    )
    functions = dict(
        relu=F.relu, sigmoid=torch.sigmoid, tanh=torch.tanh, exp=torch.exp, log=torch.log, sqrt=torch.sqrt
    )
    functions["gelu"] = F.gelu  # the exact form, with erf
    extremes = np.array([-100, -88, -50, -20, -10, -1e-3, 1e-3, 10, 20, 50, 80, 100], np.float32)
    for seed, (op, shape) in enumerate(
        (op, shape) for op in functions for shape in [(2, 3, 5, 7), (13,), (12,)]
    ):

        def draw(rng):
            x = extremes if shape == (12,) else normal(rng, *shape, scale=2.0)
            if op in ("log", "sqrt"):
                x = np.abs(x) + np.float32(1e-6 if shape != (13,) else 1e-3)
            return dict(x=np.minimum(x, 85) if op == "exp" else x)

        golden.case(
            dict(op=op),
            **until_smooth(
                (10, seed), draw, lambda x: functions[op](x), (lambda x: x) if op == "relu" else None
            ),
        )
    for seed, (op, shape, dim, scale) in enumerate(
        (op, *rest)
        for op in ("softmax", "log_softmax")
        for rest in [
            ((4, 6), 1, 1.0),
            ((3, 24), 1, 3.0),
            ((5, 17), 1, 100.0),
            ((7, 1), 1, 1.0),
            ((2, 1000), 1, 5.0),
            ((5, 7), 0, 1.0),
            ((2, 5, 3, 4), 1, 1.0),
        ]
    ):
        function = getattr(F, op)
        tensors = until_smooth(
            (11, seed), lambda rng: dict(x=normal(rng, *shape, scale=scale)), lambda x: function(x, dim=dim)
        )
        golden.case(dict(op=op, dim=dim), **tensors)
    golden.write()

    golden = Golden("ops/binary.safetensors", "op = add sub mul div, with NumPy broadcasting")
    for seed, (op, a, b) in enumerate(
        (op, *shapes)
        for op in ("add", "sub", "mul", "div")
        for shapes in [
            ((3, 5), (3, 5)),
            ((4, 7), (7,)),
            ((4, 7), (4, 1)),
            ((2, 3, 5, 4), (1, 3, 1, 1)),
            ((2, 1, 5), (3, 1)),
            ((6,), ()),
            ((1,), (2, 3)),
        ]
    ):

        def draw(rng):
            b_value = normal(rng, *b)
            if op == "div":
                b_value = np.sign(b_value) * (np.abs(b_value) + np.float32(0.5))
            return dict(a=normal(rng, *a), b=np.asarray(b_value, dtype=np.float32))

        golden.case(dict(op=op), **until_smooth((12, seed), draw, lambda a, b: getattr(torch, op)(a, b)))
    golden.write()

    golden = Golden(
        "ops/reduce.safetensors", "op = sum mean, over dims (comma-separated; empty = all), keepdim or not"
    )
    for seed, (op, shape, dims, keepdim) in enumerate(
        (op, *rest)
        for op in ("sum", "mean")
        for rest in [
            ((7,), [], False),
            ((5, 17), [], False),
            ((5, 17), [0], False),
            ((5, 17), [1], True),
            ((2, 3, 5, 7), [0, 2, 3], False),
            ((2, 3, 5, 7), [2, 3], True),
            ((2, 3, 5, 7), [1], False),
            ((3, 1, 4), [1], False),
            ((1, 1), [0, 1], False),
        ]
    ):
        function = getattr(torch, op)
        tensors = until_smooth(
            (13, seed),
            lambda rng: dict(x=normal(rng, *shape)),
            lambda x: function(x, dim=dims, keepdim=keepdim) if dims else function(x),
        )
        golden.case(dict(op=op, dims=dims, keepdim=keepdim), **tensors)
    golden.write()

    golden = Golden(
        "ops/shape.safetensors", "op = reshape (shape) | permute (dims) | concat of a and b along dim | slice"
    )
    for seed, (x, to) in enumerate([((2, 3, 4), [6, 4]), ((2, 3, 5, 7), [2, 105]), ((12,), [3, 1, 4])]):
        golden.case(
            dict(op="reshape", shape=to),
            **until_smooth((14, seed), lambda rng: dict(x=normal(rng, *x)), lambda x: x.reshape(to)),
        )
    for seed, (x, dims) in enumerate(
        [
            ((3, 5), [1, 0]),
            ((2, 3, 5, 4), [0, 2, 3, 1]),
            ((2, 5, 4, 3), [0, 3, 1, 2]),
            ((2, 3, 4), [2, 0, 1]),
            ((1, 7), [1, 0]),
        ]
    ):
        golden.case(
            dict(op="permute", dims=dims),
            **until_smooth((15, seed), lambda rng: dict(x=normal(rng, *x)), lambda x: x.permute(dims)),
        )
    for seed, (a, b, dim) in enumerate(
        [((2, 3), (2, 5), 1), ((2, 3), (4, 3), 0), ((2, 3, 4, 5), (2, 1, 4, 5), 1)]
    ):
        golden.case(
            dict(op="concat", dim=dim),
            **until_smooth(
                (16, seed),
                lambda rng: dict(a=normal(rng, *a), b=normal(rng, *b)),
                lambda a, b: torch.cat([a, b], dim),
            ),
        )
    for seed, (x, dim, start, stop) in enumerate(
        [((5, 7), 0, 1, 4), ((5, 7), 1, 2, 7), ((2, 8, 3, 3), 1, 0, 1)]
    ):
        golden.case(
            dict(op="slice", dim=dim, start=start, stop=stop),
            **until_smooth(
                (17, seed),
                lambda rng: dict(x=normal(rng, *x)),
                lambda x: torch.narrow(x, dim, start, stop - start),
            ),
        )
    golden.write()

    # ---- losses: y is the scalar loss, grad_x its gradient (grad_y = 1)
    golden = Golden(
        "ops/loss.safetensors",
        "op = bce_with_logits | mse | bce: mean over all elements. op = softmax_cross_entropy: target int64 classes or "
        "float32 probabilities; class_weight [C] optional; reduction = weighted_mean divides by the sum of the samples' "
        "weights (PyTorch), batch_mean by the batch size (Keras)",
    )

    def loss_case(parameters, function, x, **others):
        held = torch.from_numpy(x).double().requires_grad_()
        y = function(held)
        y.backward()
        golden.case(parameters, x=x, y=y.detach().numpy(), grad_x=held.grad.numpy(), **others)

    for seed, (shape, scale) in enumerate(
        [((4, 24), 1.0), ((7, 5), 4.0), ((3, 17), 100.0), ((1, 1), 1.0), ((2, 3, 4, 5), 2.0)]
    ):
        rng = np.random.default_rng((18, seed))
        x, target = normal(rng, *shape, scale=scale), (rng.random(shape) < 0.3).astype(np.float32)
        if len(shape) == 4:
            target = rng.random(shape).astype(np.float32)  # soft, as in the autoencoder's reconstruction
        loss_case(
            dict(op="bce_with_logits"),
            lambda x: F.binary_cross_entropy_with_logits(x, torch.from_numpy(target).double()),
            x,
            target=target,
        )
    x = np.array([[-100, 100, -100, 100], [0, 0, 88, -88], [-1000, 1000, 1e-4, -1e-4]], np.float32)
    target = np.array([[0, 1, 1, 0], [0, 1, 1, 1], [0, 1, 0.5, 0.25]], np.float32)
    loss_case(
        dict(op="bce_with_logits"),
        lambda x: F.binary_cross_entropy_with_logits(x, torch.from_numpy(target).double()),
        x,
        target=target,
    )
    for seed, shape in enumerate([(4, 6), (2, 3, 4, 5)]):
        rng = np.random.default_rng((19, seed))
        x, target = rng.uniform(0.02, 0.98, shape).astype(np.float32), rng.random(shape).astype(np.float32)
        loss_case(
            dict(op="bce"),
            lambda x: F.binary_cross_entropy(x, torch.from_numpy(target).double()),
            x,
            target=target,
        )
    for seed, (n, c, scale, weighted, smoothing, soft, reduction) in enumerate(
        [
            (8, 6, 1.0, False, 0.0, False, "weighted_mean"),
            (5, 22, 3.0, False, 0.0, False, "weighted_mean"),
            (7, 7, 100.0, False, 0.0, False, "weighted_mean"),
            (8, 6, 2.0, True, 0.0, False, "weighted_mean"),
            (8, 6, 2.0, True, 0.0, False, "batch_mean"),
            (9, 8, 2.0, False, 0.1, False, "weighted_mean"),
            (9, 8, 2.0, True, 0.1, False, "weighted_mean"),
            (4, 6, 2.0, False, 0.0, True, "weighted_mean"),
            (1, 1000, 5.0, False, 0.0, False, "weighted_mean"),
            (1, 1, 1.0, False, 0.0, False, "weighted_mean"),
        ]
    ):
        rng = np.random.default_rng((20, seed))
        x, target = normal(rng, n, c, scale=scale), rng.integers(0, c, n)
        if soft:
            target = rng.random((n, c)).astype(np.float32)
            target = (target / target.sum(1, keepdims=True)).astype(np.float32)
        weight = rng.uniform(0.5, 2, c).astype(np.float32) if weighted else None

        def loss(x):
            held = torch.from_numpy(target).double() if soft else torch.from_numpy(target)
            w = None if weight is None else torch.from_numpy(weight).double()
            if reduction == "batch_mean":
                return F.cross_entropy(x, held, w, reduction="sum", label_smoothing=smoothing) / n
            return F.cross_entropy(x, held, w, label_smoothing=smoothing)

        loss_case(
            dict(op="softmax_cross_entropy", label_smoothing=smoothing, reduction=reduction),
            loss,
            x,
            target=target,
            class_weight=weight,
        )
    for seed, shape in enumerate([(3, 5), (2, 3, 4, 5), (1,)]):
        rng = np.random.default_rng((21, seed))
        x, target = normal(rng, *shape), normal(rng, *shape)
        loss_case(
            dict(op="mse"), lambda x: F.mse_loss(x, torch.from_numpy(target).double()), x, target=target
        )
    golden.write()

    # ---- optimisers
    golden = Golden(
        "ops/optim.safetensors",
        "torch.optim: w0 before, grads [steps, ...] given, w [steps, ...] after each step. op = Adam AdamW SGD",
    )
    for seed, (op, options) in enumerate(
        [
            ("Adam", dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False)),
            ("Adam", dict(lr=1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01, amsgrad=False)),
            ("Adam", dict(lr=1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=True)),
            ("Adam", dict(lr=1e-2, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.05, amsgrad=True)),
            ("AdamW", dict(lr=1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.05, amsgrad=False)),
            ("AdamW", dict(lr=1e-2, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.05, amsgrad=True)),
            ("SGD", dict(lr=0.1, momentum=0.0, dampening=0.0, nesterov=False, weight_decay=0.0)),
            ("SGD", dict(lr=0.1, momentum=0.9, dampening=0.0, nesterov=False, weight_decay=0.0)),
            ("SGD", dict(lr=0.1, momentum=0.9, dampening=0.0, nesterov=True, weight_decay=5e-4)),
            ("SGD", dict(lr=0.1, momentum=0.9, dampening=0.1, nesterov=False, weight_decay=5e-4)),
        ]
    ):
        rng = np.random.default_rng((22, seed))
        w0, grads = normal(rng, 5, 7), optimiser_gradients(rng)
        w = torch.from_numpy(w0).double().requires_grad_()
        optimiser = getattr(torch.optim, op)([w], **options)
        after = []
        for grad in grads:
            w.grad = torch.from_numpy(grad).double()
            optimiser.step()
            after.append(w.detach().numpy().copy())
        golden.case(dict(op=op, **options), w0=w0, grads=grads, w=np.stack(after))
    golden.write()


def optimiser_gradients(rng, steps=10):
    """Ten gradients of a 5 x 7 weight: shrinking (so that AMSGrad differs from Adam), with zeros, tiny and
    large ones."""
    grads = normal(rng, steps, 5, 7) * np.linspace(2, 0.05, steps, dtype=np.float32).reshape(-1, 1, 1)
    grads[:, 0, 0] = 0
    grads[:, 0, 1] *= np.float32(1e-6)
    grads[:, 0, 2] *= np.float32(1e3)
    grads[3:, 0, 3] = 0
    return grads


# ------------------------------------------------------------------------------------------------------------
# Keras


def make_keras():
    import keras
    import tensorflow as tf

    print("keras", keras.__version__, "tensorflow", tf.__version__)

    def nchw(x):
        return np.transpose(x, (0, 3, 1, 2)) if x.ndim == 4 else x

    def conv_kernel(kernel):
        """HWIO -> OIHW; and for transposed convolutions HWOI -> [in, out, kh, kw]: the same permutation."""
        return np.transpose(kernel, (3, 2, 0, 1))

    def run(layer, shape, rng, training=False, scale=1.0):
        """Builds a float64 Keras layer on a float32 NHWC input; returns x, y, grad_y, grad_x (NHWC) and the
        gradients of its trainable weights."""
        x = normal(rng, *shape, scale=scale)
        held = tf.constant(x, dtype=tf.float64)
        layer.build(shape)
        for weight in layer.weights:
            value = normal(rng, *weight.shape, scale=0.3)
            if "variance" in weight.path:
                value = np.abs(value) + np.float32(0.5)
            if "gamma" in weight.path:
                value = value + np.float32(1)
            weight.assign(value.astype(np.float32))
        before = [np.asarray(weight) for weight in layer.weights]
        variables = [weight.value for weight in layer.trainable_weights]
        with tf.GradientTape() as tape:
            tape.watch(held)
            y = layer(held, training=training)
            grad_y = normal(rng, *y.shape)
            total = tf.reduce_sum(y * tf.constant(grad_y, dtype=tf.float64))
        grads = tape.gradient(total, [held] + variables)
        return x, y.numpy(), grad_y, grads[0].numpy(), before, [g.numpy() for g in grads[1:]]

    golden = Golden(
        "ops/keras.safetensors",
        f"layers as Keras {keras.__version__} computes them in float64; activations NCHW, conv kernels OIHW, transposed "
        "conv kernels [in, out, kh, kw], dense kernels [out, in]; 'same' padding, stride 1",
    )
    options = dict(dtype="float64")
    for seed, (kind, shape, filters, k) in enumerate(
        [
            ("Conv2D", (2, 7, 9, 3), 8, 3),
            ("Conv2D", (1, 8, 8, 8), 5, 5),
            ("Conv2D", (1, 5, 7, 17), 3, 1),
            ("Conv2DTranspose", (2, 5, 4, 3), 6, 3),
            ("Conv2DTranspose", (1, 4, 4, 8), 5, 3),
            ("Conv2DTranspose", (1, 6, 7, 2), 3, 5),
        ]
    ):
        layer = getattr(keras.layers, kind)(filters, k, padding="same", **options)
        x, y, grad_y, grad_x, (w, b), (grad_w, grad_b) = run(layer, shape, np.random.default_rng((30, seed)))
        golden.case(
            dict(op=kind, kernel=k, padding="same"),
            x=nchw(x), w=conv_kernel(w), b=b, y=nchw(y), grad_y=nchw(grad_y),
            grad_x=nchw(grad_x), grad_w=conv_kernel(grad_w), grad_b=grad_b,
        )  # fmt: skip
    layer = keras.layers.Dense(5, **options)
    x, y, grad_y, grad_x, (w, b), (grad_w, grad_b) = run(layer, (4, 13), np.random.default_rng(31))
    golden.case(
        dict(op="Dense"), x=x, w=w.T, b=b, y=y, grad_y=grad_y, grad_x=grad_x, grad_w=grad_w.T, grad_b=grad_b
    )
    for seed, (layer, shape) in enumerate(
        [
            (keras.layers.MaxPooling2D(2, padding="same", **options), (2, 8, 6, 3)),
            (keras.layers.UpSampling2D(2, interpolation="nearest", **options), (2, 3, 4, 5)),
            (keras.layers.GlobalAveragePooling2D(**options), (2, 4, 3, 5)),
            (keras.layers.Flatten(**options), (2, 3, 4, 5)),
        ]
    ):
        x, y, grad_y, grad_x, _, _ = run(layer, shape, np.random.default_rng((32, seed)))
        golden.case(
            dict(op=type(layer).__name__), x=nchw(x), y=nchw(y), grad_y=nchw(grad_y), grad_x=nchw(grad_x)
        )
    for seed, (shape, training) in enumerate(
        [((4, 3, 5, 8), True), ((4, 3, 5, 8), False), ((2, 2, 2, 17), True)]
    ):
        layer = keras.layers.BatchNormalization(momentum=0.99, epsilon=1.001e-5, **options)
        x, y, grad_y, grad_x, (gamma, beta, mean, var), (grad_gamma, grad_beta) = run(
            layer, shape, np.random.default_rng((33, seed)), training, scale=2.0
        )
        after_mean, after_var = (np.asarray(weight) for weight in layer.weights[2:])
        count = shape[0] * shape[1] * shape[2]
        batch_var = x.astype(np.float64).var((0, 1, 2))
        unbiased = var * 0.99 + 0.01 * batch_var * count / (count - 1)
        biased = var * 0.99 + 0.01 * batch_var
        kind = "none"
        if training:
            kind = "unbiased" if np.allclose(after_var, unbiased, rtol=1e-9) else "biased"
            if kind == "biased" and not np.allclose(after_var, biased, rtol=1e-9):
                raise SystemExit("Keras' running variance is neither the biased nor the unbiased one")
        golden.case(
            dict(op="BatchNormalization", training=training, eps=1.001e-5, momentum=0.01, running_var_kind=kind),
            x=nchw(x), gamma=gamma, beta=beta, running_mean=mean, running_var=var, y=nchw(y), grad_y=nchw(grad_y),
            grad_x=nchw(grad_x), grad_gamma=grad_gamma, grad_beta=grad_beta,
            running_mean_after=after_mean if training else None,
            running_var_after=after_var if training else None,
            running_var_after_unbiased=unbiased if training else None,
        )  # fmt: skip
    golden.write()

    # Keras' Adam adds epsilon to sqrt(v), not to the bias-corrected sqrt(v / (1 - beta2^t)).
    golden = Golden(
        "ops/optim_keras.safetensors",
        "keras.optimizers.Adam: w0 before, grads [steps, ...] given, lr [steps], w [steps, ...] after each step by the "
        "formula in float64, w_keras as Keras computed it (its bias correction is float32: a step is within 1e-4 of w's); "
        "w -= lr sqrt(1 - beta2^t) / (1 - beta1^t) m / (sqrt(v) + eps); lr = initial_lr decay_rate^(step / decay_steps)",
    )
    keras.config.set_floatx("float64")
    for seed, (initial_lr, steps_per_epoch, scale) in enumerate(
        [(1e-5, 3, 1e-4), (1e-2, 1, 1.0), (1e-3, 0, 1.0)]
    ):
        rng = np.random.default_rng((34, seed))
        w0, grads = normal(rng, 5, 7, scale=scale), optimiser_gradients(rng)
        w = keras.Variable(w0.astype(np.float64), dtype="float64")
        decay_steps = 10 * steps_per_epoch
        schedule = (
            keras.optimizers.schedules.ExponentialDecay(initial_lr, decay_steps, 0.95)
            if decay_steps
            else initial_lr
        )
        optimiser = keras.optimizers.Adam(schedule, beta_1=0.9, beta_2=0.999, epsilon=1e-7)
        expected, m, v = w0.astype(np.float64), 0.0, 0.0
        after, formula, rates = [], [], []
        for step, grad in enumerate(grads.astype(np.float64)):
            optimiser.apply([tf.constant(grad)], [w])
            rate = initial_lr * (0.95 ** (step / decay_steps) if decay_steps else 1)
            m, v, t = 0.9 * m + 0.1 * grad, 0.999 * v + 0.001 * grad**2, step + 1
            expected = expected - rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-7)
            if not np.allclose(w.numpy() - w0, expected - w0, rtol=1e-4, atol=1e-3 * rate):
                raise SystemExit(
                    f"Keras' Adam is not the documented formula: {np.abs(w.numpy() - expected).max()}"
                )
            after.append(w.numpy().copy())
            formula.append(expected)
            rates.append(rate)
        golden.case(
            dict(op="KerasAdam", initial_lr=initial_lr, decay_rate=0.95, decay_steps=decay_steps,
                 betas=(0.9, 0.999), eps=1e-7),
            w0=w0, grads=grads, lr=np.array(rates), w=np.stack(formula), w_keras=np.stack(after),
        )  # fmt: skip
    golden.write()


def check_keras():
    import torch
    import torch.nn.functional as F

    tensors, metadata = read(DATA / "ops" / "keras.safetensors")
    for index in range(int(metadata["cases"])):
        name = f"case{index}"
        t = {
            k.split("/")[1]: torch.from_numpy(v.copy())
            for k, v in tensors.items()
            if k.startswith(name + "/")
        }
        p = {k.split(".", 1)[1]: v for k, v in metadata.items() if k.startswith(name + ".")}
        for key in ("x", "w", "b", "gamma", "beta"):
            if key in t:
                t[key] = t[key].double().requires_grad_()
        pad = (int(p["kernel"]) - 1) // 2 if "kernel" in p else 0
        y = {
            "Conv2D": lambda: F.conv2d(t["x"], t["w"], t["b"], padding=pad),
            "Conv2DTranspose": lambda: F.conv_transpose2d(t["x"], t["w"], t["b"], padding=pad),
            "Dense": lambda: F.linear(t["x"], t["w"], t["b"]),
            "MaxPooling2D": lambda: F.max_pool2d(t["x"], 2),
            "UpSampling2D": lambda: F.interpolate(t["x"], scale_factor=2, mode="nearest"),
            "GlobalAveragePooling2D": lambda: t["x"].mean((2, 3)),
            "Flatten": lambda: t["x"].permute(0, 2, 3, 1).flatten(1),  # Keras flattens in channels-last order
            "BatchNormalization": lambda: F.batch_norm(
                t["x"], t["running_mean"].double(), t["running_var"].double(), t["gamma"], t["beta"],
                p["training"] == "true", 0.01, 1.001e-5),
        }[p["op"]]()  # fmt: skip
        y.backward(t["grad_y"].double())
        pairs = [("y", y)] + [("grad_" + k, t[k].grad) for k in ("x", "w", "b", "gamma", "beta") if k in t]
        for key, value in pairs:
            error = float((value.detach() - t[key]).abs().max())
            if not error < 1e-5:
                raise SystemExit(f"{name} {p['op']} {key}: differs by {error}")
        print(f"{name} {p['op']}: agrees with PyTorch", p.get("running_var_kind", ""))


if __name__ == "__main__":
    commands = {"torch": make_torch, "keras": make_keras, "check": check_keras}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        raise SystemExit(__doc__)
    commands[sys.argv[1]]()
