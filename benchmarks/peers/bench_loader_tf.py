"""The work of benchmarks/data/loader.cpp, done by tf.data (TensorFlow's input pipelines) on the CPU.

    python3 benchmarks/peers/bench_loader_tf.py DATA_PATH [--only jpeg/plain] [--epochs 5] [--serve]

An epoch of the train split of DATA_PATH, shuffled over all of it: TFRecord -> tf.train.Example -> decoded image ->
floats / 255 in batches of 64, channels last as TensorFlow has them; `augmented` also mirrors, shifts, colours and
erases, each image by its own random numbers; `cached` keeps decoded images (bytes) in memory. tf.data is given its
best, of what was tried (--variants tries them again):

- records are batched before they are parsed (tf.io.parse_example) and decoded, since an element costs tf.data more
  than its decoding does; batches are decoded in parallel, in any order (deterministic = False), two at a time or as
  AUTOTUNE likes, in a thread pool of their own;
- JPEGs by libjpeg-turbo with INTEGER_ACCURATE, its default and the accuracy of the other two programs;
  INTEGER_FAST can be tried with --dct;
- augmentation is vectorised over the batch: mirroring and shifting together are two gathers of bytes, the rest is
  one function compiled by XLA;
- cached images come from one tensor by a gather of a batch of row numbers (`cached`), which is faster than
  Dataset.cache() of images (`dataset_cache`).

Prints one JSON object a line; with --serve one for each line of standard input, which names a bench.
"""

import argparse
import json
import os
import statistics
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["CUDA_VISIBLE_DEVICES"] = ""
import tensorflow as tf

BATCH, SIZE, CLASSES = 64, 64, 24
PADDING, STRENGTH, ERASE = 4, 0.2, 0.25
FEATURES = {"image_raw": tf.io.FixedLenFeature([], tf.string), "label": tf.io.FixedLenFeature([CLASSES], tf.int64)}


def decoder(codec, dct):
    if codec == "png":
        return lambda raw: tf.io.decode_png(raw, channels=3)
    return lambda raw: tf.io.decode_jpeg(raw, channels=3, dct_method=dct)


def decode_batch(decode, style):
    """Strings [n] to bytes [n, 64, 64, 3]."""
    if style == "unrolled":
        return lambda raws: tf.stack([tf.ensure_shape(decode(raws[i]), (SIZE, SIZE, 3)) for i in range(BATCH)])
    return lambda raws: tf.map_fn(lambda raw: tf.ensure_shape(decode(raw), (SIZE, SIZE, 3)), raws,
                                  fn_output_signature=tf.uint8, parallel_iterations=1)


def place(images):
    """Mirrors and shifts: each pixel is gathered from where it comes, rows first."""
    n = tf.shape(images)[0]
    offset = tf.random.uniform([2, n, 1], -PADDING, PADDING + 1, tf.int32)
    at = tf.range(SIZE)[None, :]
    columns = tf.where(tf.random.uniform([n, 1]) < 0.5, SIZE - 1 - at, at)
    columns = tf.clip_by_value(columns + offset[0], 0, SIZE - 1)
    rows = tf.clip_by_value(at + offset[1], 0, SIZE - 1)
    return tf.gather(tf.gather(images, rows, axis=1, batch_dims=1), columns, axis=2, batch_dims=1)


def colour_and_erase(images, draws):
    """Bytes to floats, coloured and erased; `draws` [8, n] are uniform in [0, 1)."""
    x = tf.cast(images, tf.float32) / 255.0
    b, c, s = [d[:, None, None, None] for d in tf.unstack(1 + STRENGTH * (2 * draws[:3] - 1))]
    grey = 0.299 * x[..., 0:1] + 0.587 * x[..., 1:2] + 0.114 * x[..., 2:3]
    mean = tf.reduce_mean(grey, axis=[1, 2, 3], keepdims=True)
    x = tf.clip_by_value(b * c * s * x + (b * c * (1 - s) * grey + b * (1 - c) * mean), 0.0, 1.0)
    area = (0.02 + 0.18 * draws[3]) * SIZE * SIZE
    aspect = tf.exp(2.4 * draws[4] - 1.2)
    height = tf.clip_by_value(tf.round(tf.sqrt(area * aspect)), 1, SIZE)
    width = tf.clip_by_value(tf.round(tf.sqrt(area / aspect)), 1, SIZE)
    top, left = tf.floor(draws[5] * (SIZE - height + 1)), tf.floor(draws[6] * (SIZE - width + 1))
    at = tf.range(SIZE, dtype=tf.float32)[None, :]
    inside_y = (at >= top[:, None]) & (at < (top + height)[:, None]) & (draws[7] < ERASE)[:, None]
    inside_x = (at >= left[:, None]) & (at < (left + width)[:, None])
    return tf.where((inside_y[:, :, None] & inside_x[:, None, :])[..., None], 0.5, x)


def finisher(augmented, xla):
    if not augmented:
        return lambda images: tf.cast(images, tf.float32) / 255.0
    paint = tf.function(colour_and_erase, jit_compile=True) if xla else colour_and_erase

    def finish(images):
        images = tf.ensure_shape(place(images), (BATCH, SIZE, SIZE, 3))
        return paint(images, tf.random.uniform([8, BATCH]))

    return finish


def with_options(dataset, threads):
    options = tf.data.Options()
    options.deterministic = False
    options.threading.private_threadpool_size = threads
    options.threading.max_intra_op_parallelism = 1
    options.experimental_optimization.apply_default_optimizations = True
    return dataset.prefetch(4).with_options(options)


def parsed(batch):
    example = tf.io.parse_example(batch, FEATURES)
    return example["image_raw"], tf.cast(example["label"], tf.float32)


def pipeline(path, codec, bench, v):
    augmented, kind = bench.split("/")[1] == "augmented", bench.split("/")[2]
    decode, finish = decoder(codec, v["dct"]), finisher(augmented, v["xla"])
    records = tf.data.TFRecordDataset(path)
    rows = sum(1 for _ in records.batch(1024).unbatch()) if kind != "uncached" else 0
    if kind == "uncached":
        decode_all = decode_batch(decode, v["style"])

        def work(batch):
            images, labels = parsed(batch)
            return finish(decode_all(images)), labels

        dataset = records.shuffle(1 << 20).batch(BATCH, drop_remainder=True)
        dataset = dataset.map(work, num_parallel_calls=v["calls"])
    elif kind == "dataset_cache":
        def one(record):
            example = tf.io.parse_single_example(record, FEATURES)
            return tf.ensure_shape(decode(example["image_raw"]), (SIZE, SIZE, 3)), tf.cast(example["label"], tf.float32)

        dataset = records.map(one, num_parallel_calls=v["calls"]).cache().shuffle(rows)
        dataset = dataset.batch(BATCH, drop_remainder=True)
        dataset = dataset.map(lambda x, y: (finish(x), y), num_parallel_calls=v["calls"])
    else:
        images, labels = [], []
        for x, y in records.batch(BATCH, drop_remainder=True).map(parsed):
            images.append(decode_batch(decode, "map_fn")(x))
            labels.append(y)
        images, labels = tf.concat(images, 0), tf.concat(labels, 0)
        dataset = tf.data.Dataset.range(len(images)).shuffle(rows).batch(BATCH, drop_remainder=True)
        dataset = dataset.map(lambda i: (finish(tf.gather(images, i)), tf.gather(labels, i)),
                              num_parallel_calls=v["calls"])
    return with_options(dataset, v["threads"])


def epoch(dataset):
    begin, images = time.perf_counter(), 0
    for x, _ in dataset:
        images += x.shape[0]
    return images, 1e3 * (time.perf_counter() - begin)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_path")
    parser.add_argument("--only", default="", help="benches whose name contains this")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dct", default="INTEGER_ACCURATE", choices=["INTEGER_ACCURATE", "INTEGER_FAST"])
    parser.add_argument("--style", default="map_fn", choices=["map_fn", "unrolled"])
    parser.add_argument("--calls", type=int, default=2, help="batches at a time; -1: AUTOTUNE")
    parser.add_argument("--no-xla", action="store_true")
    parser.add_argument("--variants", action="store_true", help="time every combination of the above")
    parser.add_argument("--serve", action="store_true")
    options = parser.parse_args()
    path = os.path.join(options.data_path, "tfrecords", "multi-label_train.tfrecords")
    first = next(iter(tf.data.TFRecordDataset(path)))
    raw = tf.io.parse_single_example(first, FEATURES)["image_raw"].numpy()
    codec = "png" if raw.startswith(b"\x89PNG") else "jpeg"
    benches = [f"{codec}/{work}/{kind}" for kind in ("uncached", "cached", "dataset_cache")
               for work in ("plain", "augmented")]
    chosen = {"dct": options.dct, "style": options.style, "calls": options.calls, "xla": not options.no_xla,
              "threads": options.threads}
    if options.serve:
        datasets = {}
        for line in sys.stdin:
            bench = line.strip()
            if bench not in datasets:
                datasets[bench] = pipeline(path, codec, bench, chosen)
                epoch(datasets[bench])
            images, ms = epoch(datasets[bench])
            print(json.dumps({"bench": bench, "images": images, "ms": ms}), flush=True)
        return
    variants = [chosen]
    if options.variants:
        variants = [dict(chosen, style=s, calls=c, xla=x, threads=t) for s in ("map_fn", "unrolled")
                    for c in (2, -1) for x in (True, False) for t in (options.threads, 2 * options.threads)]
    for bench in benches:
        if options.only not in bench:
            continue
        for v in variants:
            dataset = pipeline(path, codec, bench, v)
            epoch(dataset)
            cpu = sum(os.times()[:2])
            runs = [epoch(dataset) for _ in range(options.epochs)]
            images = runs[0][0]
            cpu = (sum(os.times()[:2]) - cpu) / options.epochs
            times = [ms for _, ms in runs]
            print(json.dumps({"bench": bench, "median_ms": statistics.median(times), "min_ms": min(times),
                              "images_per_s": round(1e3 * images / statistics.median(times)),
                              "cpu_us_per_image": round(1e6 * cpu / images, 1)} |
                             ({"variant": v} if options.variants else {})), flush=True)


if __name__ == "__main__":
    main()
