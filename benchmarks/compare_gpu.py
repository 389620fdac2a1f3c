#!/usr/bin/env python3
"""Puts kfer's GPU figures beside PyTorch's, as a Markdown table.

usage: compare_gpu.py kfer.jsonl pytorch.jsonl

Both files hold one JSON object a line with bench, variant and median_ms, as benchmarks/models/bench_models_cuda and
benchmarks/peers/bench_models_cuda.py print them. The ratio is kfer's best variant to PyTorch's best: below 1, kfer is faster.
"""

import json
import sys


def read(path):
    """{bench: {variant: median_ms}}"""
    out = {}
    with open(path, encoding="utf-8") as file:
        for line, text in enumerate(file, 1):
            try:
                row = json.loads(text)
                out.setdefault(row["bench"], {})[row["variant"]] = float(row["median_ms"])
            except (ValueError, KeyError, TypeError):
                fail(f"{path}:{line}: expected a measurement: an object with bench, variant and median_ms")
    if not out:
        fail(f"{path}: there is no measurement in it")
    return out


def fail(message):
    print(f"compare_gpu.py: {message}", file=sys.stderr)
    sys.exit(2)


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    try:
        ours, theirs = read(sys.argv[1]), read(sys.argv[2])
    except OSError as error:
        fail(str(error))
    number = lambda row, key: f"{row[key]:.3f}" if key in row else ""
    print("| step, ms | kfer eager | kfer captured | PyTorch eager | PyTorch compiled | ratio of the best |")
    print("|---|---|---|---|---|---|")
    for bench, row in ours.items():
        peer = theirs.get(bench, {})
        ratio = f"{min(row.values()) / min(peer.values()):.2f}" if peer else ""
        print(f"| {bench} | {number(row, 'eager')} | {number(row, 'captured')} | {number(peer, 'eager')} "
              f"| {number(peer, 'compile')} | {ratio} |")


if __name__ == "__main__":
    main()
