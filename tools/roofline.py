#!/usr/bin/env python3
"""Draws the CSV of the kernel benchmarks as one SVG.

usage: roofline.py results.csv [-o roofline.svg] [--title TEXT]

Left: the roofline. Every variant that is judged by its FLOPs stands at its arithmetic intensity (FLOPs a byte that must
move) and the FLOP/s it reached, under the two ceilings measured in the same run: memory (a copy) and arithmetic (the
library's largest product). Right: the share of the copy ceiling of everything that is judged by its bytes, one bar a
variant, the best of a case in full colour. Needs nothing but Python.
"""

import argparse
import csv
import math
import sys
from html import escape
from pathlib import Path

INK, PALE, GRID = "#1f2933", "#9aa5b1", "#e4e7eb"
BEST, OTHER, LIBRARY = "#2563eb", "#bfd3f8", "#f59e0b"
LEFT_WIDTH, RIGHT_WIDTH, MARGIN, BAR = 560, 620, 56, 15
NUMBERS = ("seconds", "bytes", "flops", "copy_ceiling", "flop_ceiling")


def read(path):
    """Rows of the benchmark's CSV, the last run of a variant where there are several. Exits with 2 for anything else."""
    rows = {}
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = {"suite", "case", "variant", *NUMBERS} - set(reader.fieldnames or [])
        if missing:
            fail(f"{path}: expected the columns of the kernel benchmarks, without: {', '.join(sorted(missing))}")
        for line, row in enumerate(reader, 2):
            try:
                for key in NUMBERS:
                    row[key] = float(row[key])
                if not (row["seconds"] > 0 and row["bytes"] > 0):
                    raise ValueError
            except (TypeError, ValueError):
                fail(f"{path}:{line}: expected numbers, with seconds and bytes above 0")
            rows[row["suite"], row["case"], row["variant"]] = row
    if not rows:
        fail(f"{path}: there is no measurement in it")
    return list(rows.values())


def fail(message):
    print(f"roofline.py: {message}", file=sys.stderr)
    sys.exit(2)


def is_library(variant):
    return not variant[:1].isdigit() and variant not in ("shipped", "tensor_core")


def text(x, y, words, size=11, anchor="start", fill=INK, extra=""):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{fill}" {extra}>'
            f"{escape(words)}</text>")


def roofline(rows, height):
    """The left panel, for rows with FLOPs."""
    out = [text(MARGIN, 58, "Roofline: work that multiplies", 13, extra='font-weight="600"')]
    if not rows:
        return out + [text(MARGIN, 84, "no case of this run is judged by its FLOPs", 11, fill=PALE)]
    memory, arithmetic = max(r["copy_ceiling"] for r in rows), max(r["flop_ceiling"] for r in rows)
    intensity = [r["flops"] / r["bytes"] for r in rows]
    speed = [r["flops"] / r["seconds"] for r in rows]
    low_x, high_x = math.floor(math.log10(min(intensity))), math.ceil(math.log10(max(intensity) * 1.01))
    top = max([arithmetic, *speed])
    low_y, high_y = math.floor(math.log10(min(speed))), math.ceil(math.log10(top))
    left, right, up, down = MARGIN + 10, LEFT_WIDTH - 16, 76, height - 46
    x = lambda v: left + (math.log10(v) - low_x) / max(high_x - low_x, 1) * (right - left)
    y = lambda v: down - (math.log10(v) - low_y) / max(high_y - low_y, 1) * (down - up)
    for e in range(low_x, high_x + 1):
        out.append(f'<line x1="{x(10**e):.1f}" x2="{x(10**e):.1f}" y1="{up}" y2="{down}" stroke="{GRID}"/>')
        out.append(text(x(10**e), down + 16, f"{10**e:g}", 10, "middle", PALE))
    for e in range(low_y, high_y + 1):
        out.append(f'<line x1="{left}" x2="{right}" y1="{y(10**e):.1f}" y2="{y(10**e):.1f}" stroke="{GRID}"/>')
        out.append(text(left - 6, y(10**e) + 3, f"{10**e / 1e12:g}", 10, "end", PALE))
    out.append(text((left + right) / 2, down + 34, "FLOP / byte", 11, "middle"))
    out.append(text(14, (up + down) / 2, "TFLOP/s", 11, "middle", extra=f'transform="rotate(-90 14 {(up + down) / 2:.1f})"'))
    if memory > 0 and arithmetic > 0:
        ridge = min(max(arithmetic / memory, 10**low_x), 10**high_x)
        begin = max(10**low_x, 10**low_y / memory)
        out.append(f'<polyline fill="none" stroke="{INK}" stroke-width="1.5" points="'
                   f'{x(begin):.1f},{y(min(begin * memory, arithmetic)):.1f} '
                   f'{x(ridge):.1f},{y(min(ridge * memory, arithmetic)):.1f} {x(10**high_x):.1f},{y(arithmetic):.1f}"/>')
        out.append(text(right, y(arithmetic) - 6, f"{arithmetic / 1e12:.0f} TFLOP/s, copy {memory / 1e9:.0f} GB/s", 10, "end"))
    for r, i, s in zip(rows, intensity, speed):
        colour = LIBRARY if is_library(r["variant"]) else BEST
        out.append(f'<circle cx="{x(i):.1f}" cy="{y(s):.1f}" r="3.5" fill="{colour}"><title>'
                   f'{escape(r["suite"])}, {escape(r["case"])}, {escape(r["variant"])}: {s / 1e12:.2f} TFLOP/s</title></circle>')
    return out


def bars(cases, left):
    """The right panel: [(suite, case, rows)] of what moves bytes."""
    out = [text(left, 58, "Share of the copy ceiling: work that moves bytes", 13, extra='font-weight="600"')]
    width, y = RIGHT_WIDTH - 250, 76
    for suite, case, rows in cases:
        out.append(text(left, y + 11, f"{suite}: {case}", 11, extra='font-weight="600"'))
        y += BAR + 4
        share = {r["variant"]: r["bytes"] / r["seconds"] / r["copy_ceiling"] for r in rows}
        own = [v for v in share if not is_library(v)]
        best = max(own, key=share.get, default=None)
        for variant, value in share.items():
            colour = LIBRARY if is_library(variant) else BEST if variant == best else OTHER
            out.append(text(left + 140, y + 10, variant, 10, "end"))
            out.append(f'<rect x="{left + 146}" y="{y + 1}" width="{max(min(value, 1.1) * width, 0.5):.1f}" height="{BAR - 4}" fill="{colour}"/>')
            out.append(text(left + 152 + min(value, 1.1) * width, y + 10, f"{100 * value:.1f} %", 10))
            y += BAR
        y += 8
    out.append(f'<line x1="{left + 146 + width}" x2="{left + 146 + width}" y1="70" y2="{y}" stroke="{INK}" stroke-dasharray="3 3"/>')
    return out, y


def draw(rows, title):
    flops = [r for r in rows if r["flops"] > 0]
    cases = {}
    for r in rows:
        if r["flops"] == 0 and r["copy_ceiling"] > 0:
            cases.setdefault((r["suite"], r["case"]), []).append(r)
    right, bottom = bars([(s, c, v) for (s, c), v in cases.items()], LEFT_WIDTH + 24)
    height = max(bottom + 24, 440)
    width = LEFT_WIDTH + RIGHT_WIDTH + 24
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
           f'font-family="system-ui, sans-serif">', f'<rect width="{width}" height="{height}" fill="white"/>',
           text(MARGIN, 30, title, 16, extra='font-weight="600"')]
    for i, (colour, words) in enumerate([(BEST, "kfer, best variant"), (OTHER, "kfer, other variants"), (LIBRARY, "library")]):
        out.append(f'<rect x="{width - 420 + i * 140}" y="20" width="10" height="10" fill="{colour}"/>')
        out.append(text(width - 405 + i * 140, 29, words, 11))
    return "\n".join([*out, *roofline(flops, height), *right, "</svg>"]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("roofline.svg"))
    parser.add_argument("--title")
    args = parser.parse_args()
    try:
        rows = read(args.results)
        title = args.title or f"kfer kernels on {rows[0].get('device') or 'an unnamed device'}"
        args.output.write_text(draw(rows, title), encoding="utf-8")
    except OSError as error:
        fail(str(error))


if __name__ == "__main__":
    main()
