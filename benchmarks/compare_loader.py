#!/usr/bin/env python3
"""Loads the same files with several programs in turns, and compares them.

usage: compare_loader.py [--rounds 5] [--codec jpeg|png] [--only plain/uncached,...] NAME=COMMAND...

The first is the one that the ratios speak of. Each command is started once, with --serve; then, bench by bench and
round by round, each program in turn runs one epoch (ABAB...) while the others sleep, so that a machine with other
work slows all of them alike. A ratio is the median over the rounds of the other's milliseconds over the first's: above
1, the first is faster. So is "cpu", of the processor time of the program with all its processes, which other work
hardly disturbs; on idle cores the two agree unless a program waits. Benches are those of the file's kind that
benchmarks/data/loader.cpp names; prints JSON lines and then the table.

  compare_loader.py "kfer=build/benchmarks/data/loader DIR" \\
      "tf.data=python3 benchmarks/peers/bench_loader_tf.py DIR" \\
      "PyTorch=python3 benchmarks/peers/bench_loader_torch.py DIR"
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys

KINDS = [f"{work}/{kind}" for kind in ("uncached", "cached") for work in ("plain", "augmented")]


def processor_seconds(root):
    """Of a process and all processes below it that live."""
    parents, times = {}, {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                values = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(name)] = int(values[1])
        times[int(name)] = (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK")
    total = 0
    for pid in times:
        at = pid
        while at in parents and at != root:
            at = parents[at]
        total += times[pid] if at == root else 0
    return total


class Program:
    def __init__(self, name, command):
        self.name = name
        self.process = subprocess.Popen(shlex.split(command) + ["--serve"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def epoch(self, bench):
        before = processor_seconds(self.process.pid)
        self.process.stdin.write(bench + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("{"):
                result = json.loads(line)
                result["cpu_ms"] = 1e3 * (processor_seconds(self.process.pid) - before)
                return result
        raise SystemExit(f"{self.name} ended at {bench}, with status {self.process.wait()}")

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()


def median(values):
    return statistics.median(values) if values else float("nan")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--codec", default="jpeg", choices=["jpeg", "png"])
    parser.add_argument("--only", default=",".join(KINDS), help="e.g. plain/uncached,augmented/cached")
    parser.add_argument("program", nargs="+", metavar="NAME=COMMAND")
    options = parser.parse_args()
    programs = [Program(*each.split("=", 1)) for each in options.program]
    first, *others = [program.name for program in programs]
    rows = [["bench"] + [f"{p.name} img/s" for p in programs] + [f"{p.name} cpu us/img" for p in programs]
            + [f"{name}/{first} {what}" for name in others for what in ("time", "cpu")]]
    for kind in options.only.split(","):
        bench = f"{options.codec}/{kind}"
        runs = {program.name: [] for program in programs}
        for program in programs:
            program.epoch(bench)  # the first also makes and warms the pipeline
        for _ in range(options.rounds):
            for program in programs:
                runs[program.name].append(program.epoch(bench))
        for name, results in runs.items():
            print(json.dumps({"bench": bench, "program": name, "ms": [round(r["ms"], 1) for r in results],
                              "cpu_ms": [round(r["cpu_ms"]) for r in results],
                              "load": os.getloadavg()[0]}), flush=True)
        row = [bench]
        row += [f"{median([1e3 * r['images'] / r['ms'] for r in runs[p.name]]):.0f}" for p in programs]
        row += [f"{median([1e3 * r['cpu_ms'] / r['images'] for r in runs[p.name]]):.1f}" for p in programs]
        for name in others:
            pairs = list(zip(runs[name], runs[first]))
            row.append(f"{median([a['ms'] / b['ms'] for a, b in pairs]):.2f}")
            row.append(f"{median([a['cpu_ms'] / b['cpu_ms'] for a, b in pairs if b['cpu_ms'] > 0]):.2f}")
        rows.append(row)
    for program in programs:
        program.close()
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        print("  ".join(cells).rstrip())


if __name__ == "__main__":
    sys.exit(main())
