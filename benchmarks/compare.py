#!/usr/bin/env python3
"""Joins the benchmark results of several programs into one table.

usage: compare.py NAME=FILE...        the first is the one that the ratios speak of

Each file holds JSON lines; those with a "bench" count, other lines (headings, notes) are passed over:
  {"bench": "conv_net/train/64", "median_ms": 12.5, "min_ms": 12.1, "peak_mb": 310}
A ratio is the first program's median over the other's: below 1, the first is faster. Of a bench that a file holds
more than once, the fastest median counts.
"""

import json
import math
import sys


def read(path):
    results = {}
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.startswith("{"):
                continue
            try:
                result = json.loads(line)
            except ValueError as error:
                raise SystemExit(f"{path}:{number}: not JSON: {error}")
            if "bench" not in result:
                continue
            median = result.get("median_ms")
            if not isinstance(median, (int, float)) or not math.isfinite(median) or median <= 0:
                raise SystemExit(f"{path}:{number}: {result['bench']}: median_ms is {median!r}, expected a time")
            known = results.get(result["bench"])
            if known is None or median < known["median_ms"]:
                results[result["bench"]] = result
    return results


def number(result, key):
    value = result.get(key) if result else None
    return "-" if value is None else f"{value:.4g}" if value < 1000 else f"{value:.0f}"


def table(programs):
    """Rows of text: a heading, one row a bench, and the geometric mean of the ratios."""
    first, *others = programs
    rows = [["bench"] + [f"{name} {what}" for name in programs for what in ("ms", "min", "peak MB")]
            + [f"{first}/{name}" for name in others]]
    ratios = {name: [] for name in others}
    for bench in dict.fromkeys(bench for results in programs.values() for bench in results):
        row = [bench]
        for results in programs.values():
            row += [number(results.get(bench), key) for key in ("median_ms", "min_ms", "peak_mb")]
        for name in others:
            mine, theirs = programs[first].get(bench), programs[name].get(bench)
            if mine and theirs:
                ratios[name].append(mine["median_ms"] / theirs["median_ms"])
            row.append(f"{ratios[name][-1]:.2f}" if mine and theirs else "-")
        rows.append(row)
    if any(ratios.values()):
        means = [f"{math.exp(sum(map(math.log, r)) / len(r)):.2f}" if r else "-" for r in ratios.values()]
        rows.append(["geometric mean"] + [""] * (3 * len(programs)) + means)
    return rows


def main():
    if len(sys.argv) < 2 or not all("=" in arg for arg in sys.argv[1:]):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    rows = table({name: read(path) for name, path in (arg.split("=", 1) for arg in sys.argv[1:])})
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        print("  ".join(cells).rstrip())
    return 0


if __name__ == "__main__":
    sys.exit(main())
