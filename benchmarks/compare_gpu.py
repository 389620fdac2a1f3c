#!/usr/bin/env python3
"""Puts kfer's GPU figures beside PyTorch's, as a Markdown table.

usage: compare_gpu.py kfer.jsonl pytorch.jsonl

Both files hold one JSON object a line with bench, variant and median_ms, as benchmarks/models/bench_models_cuda and
benchmarks/peers/bench_models_cuda.py print them; one with `failed` in place of median_ms says why there is no figure. The
ratio is kfer's best variant to PyTorch's best: below 1, kfer is faster.
"""

import json
import sys

COLUMNS = [("kfer", "eager"), ("kfer", "captured"),
           ("PyTorch", "eager"), ("PyTorch", "graph"), ("PyTorch", "compile"), ("PyTorch", "max-autotune")]


def read(path):
    """{bench: {variant: median_ms, or None if there is none}}, what they name: frameworks and devices"""
    out, names = {}, set()
    with open(path, encoding="utf-8") as file:
        for line, text in enumerate(file, 1):
            try:
                row = json.loads(text)
                figure = None if "failed" in row else float(row["median_ms"])
                out.setdefault(row["bench"], {})[row["variant"]] = figure
            except (ValueError, KeyError, TypeError):
                fail(f"{path}:{line}: expected a measurement: an object with bench, variant and median_ms")
            names |= {row[key] for key in ("framework", "device") if key in row}
    if not out:
        fail(f"{path}: there is no measurement in it")
    return out, sorted(names)


def fail(message):
    print(f"compare_gpu.py: {message}", file=sys.stderr)
    sys.exit(2)


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    try:
        (ours, our_names), (theirs, their_names) = read(sys.argv[1]), read(sys.argv[2])
    except OSError as error:
        fail(str(error))
    print(f"{', '.join(our_names)} and {', '.join(their_names)}. Milliseconds, the median of stretches of ten steps; a dash:")
    print("there is no figure, because it failed or took too long to compile. The ratio is that of the best: below 1, kfer is faster.")
    print()
    print("| step | " + " | ".join(" ".join(column) for column in COLUMNS) + " | ratio |")
    print("|---" * (len(COLUMNS) + 2) + "|")
    for bench in ours | theirs:
        rows = {"kfer": ours.get(bench, {}), "PyTorch": theirs.get(bench, {})}
        best = {side: min((ms for ms in row.values() if ms is not None), default=None) for side, row in rows.items()}
        cells = [f"{rows[side][variant]:.3f}" if rows[side].get(variant) is not None
                 else "-" if variant in rows[side] else "" for side, variant in COLUMNS]
        ratio = f"{best['kfer'] / best['PyTorch']:.2f}" if best["kfer"] and best["PyTorch"] else ""
        print("| " + " | ".join([bench, *cells, ratio]) + " |")


if __name__ == "__main__":
    main()
