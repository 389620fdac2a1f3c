"""Image files to probabilities on the CPU: predict_images beside PyTorch with Pillow or torchvision.

    python3 benchmarks/peers/bench_predict.py build/examples/predict_images [--threads 2] [--repeat 3] [--images 512]

Draws JPEG files of 64 x 64 and 640 x 480 pixels, saves weights that PyTorch made at random, and lets both predict
all files in a process of their own, in turn. Prints one JSON object a line: images a second (the best run) and
the least processor time an image. The whole process counts for kfer; for PyTorch neither imports nor loading
of weights do. PyTorch is given its best: files are decoded on a pool of threads ahead of the model (Pillow and
torchvision leave Python's lock while they decode; the faster one is kept), batches of 64, inference mode, the
faster memory format. Threads of both wait passively: spinning ones would take the cores from those that decode.
"""

import argparse
import concurrent.futures
import itertools
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))

MODELS = ("autoencoder_classifier", "conv_net")
SIZES = ((64, 64), (640, 480))
BATCH = 64


def make_model(name):
    import kdrama_torch

    return kdrama_torch.AutoencoderClassifier(24) if name == MODELS[0] else kdrama_torch.ConvNet(24, 5)


def torch_main(name, weights, decoder, memory_format, threads, folder):
    """Predicts a folder; prints the wall and processor seconds it took, without imports and loading of weights."""
    import numpy as np
    import torch
    from PIL import Image

    torch.set_num_threads(threads)
    model = make_model(name).eval()
    model.load_state_dict(torch.load(weights))
    layout = getattr(torch, memory_format)
    model = model.to(memory_format=layout)

    def pillow(path):
        image = Image.open(path).convert("RGB").resize((64, 64), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(image)).permute(2, 0, 1)

    def torchvision(path):
        from torchvision.io import ImageReadMode, decode_jpeg, read_file
        from torchvision.transforms.v2 import functional

        image = decode_jpeg(read_file(str(path)), ImageReadMode.RGB)
        return functional.resize(image, [64, 64], antialias=True)

    load = pillow if decoder == "pillow" else torchvision
    paths = sorted(pathlib.Path(folder).iterdir())
    batches = [paths[i:i + BATCH] for i in range(0, len(paths), BATCH)]
    sums, start, before = 0.0, time.perf_counter(), time.process_time()
    with concurrent.futures.ThreadPoolExecutor(threads) as pool, torch.inference_mode():
        ahead = [[pool.submit(load, path) for path in batch] for batch in batches[:2]]
        for i in range(len(batches)):
            images = torch.stack([future.result() for future in ahead.pop(0)])
            if i + 2 < len(batches):
                ahead.append([pool.submit(load, path) for path in batches[i + 2]])
            x = (images.to(torch.float32) / 255).contiguous(memory_format=layout)
            sums += model(x, lambda layer, y: y).sigmoid().sum().item()
    assert sums == sums
    print(time.perf_counter() - start, time.process_time() - before)


def measured(command, environment):
    """Wall and processor seconds: those that the command prints, or else of its whole process."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(done.stderr)
    if "--torch" in command:
        return tuple(map(float, done.stdout.split()))
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--images", type=int, default=512)
    options = parser.parse_args()

    import numpy as np
    import torch
    from PIL import Image

    import kdrama_torch

    environment = dict(os.environ, OMP_NUM_THREADS=str(options.threads), OMP_WAIT_POLICY="passive", MALLOC_TRIM_THRESHOLD_="-1",
                       MALLOC_MMAP_MAX_="0")
    chance = np.random.default_rng(46)
    with tempfile.TemporaryDirectory() as root:
        root = pathlib.Path(root)
        for width, height in SIZES:
            (root / f"{width}x{height}").mkdir()
            for i in range(options.images):
                coarse = Image.fromarray(chance.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8))
                coarse.resize((width, height), Image.Resampling.BICUBIC).save(root / f"{width}x{height}" / f"{i:05}.jpg", quality=90)
        for name in MODELS:
            model = make_model(name)
            kdrama_torch.save_weights(model, root / f"{name}.safetensors")
            torch.save(model.state_dict(), root / f"{name}.pt")
        for name, (width, height) in itertools.product(MODELS, SIZES):
            folder = str(root / f"{width}x{height}")
            ours = [options.program, "--weights", str(root / f"{name}.safetensors"), "--task", "multi-label", "--format", "csv", folder]
            theirs = {f"{decoder}, {layout}": [sys.executable, __file__, "--torch", name, str(root / f"{name}.pt"), decoder, layout,
                                               str(options.threads), folder]
                      for decoder in ("pillow", "torchvision") for layout in ("contiguous_format", "channels_last")}
            results = {"kfer": [], **{key: [] for key in theirs}}
            for _ in range(options.repeat):
                for key, command in {"kfer": ours, **theirs}.items():
                    results[key].append(measured(command, environment))
            wall = {key: min(run[0] for run in runs) for key, runs in results.items()}
            cpu = {key: min(run[1] for run in runs) for key, runs in results.items()}
            best = min(theirs, key=wall.get)
            cheapest = min(theirs, key=cpu.get)
            print(json.dumps({
                "model": name, "image": f"{width}x{height}", "images": options.images, "threads": options.threads,
                "kfer_images_per_s": round(options.images / wall["kfer"], 1),
                "torch_images_per_s": round(options.images / wall[best], 1), "torch_best": best,
                "kfer_cpu_ms": round(1e3 * cpu["kfer"] / options.images, 3),
                "torch_cpu_ms": round(1e3 * cpu[cheapest] / options.images, 3), "torch_cheapest": cheapest}), flush=True)


if sys.argv[1:2] == ["--torch"]:
    torch_main(*sys.argv[2:6], int(sys.argv[6]), sys.argv[7])
else:
    main()
