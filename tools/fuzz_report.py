#!/usr/bin/env python3
"""Fuzzes each parser for a time and prints what that came to: executions, how fast, how much of the code was reached.

usage: fuzz_report.py BUILD-DIRECTORY [--seconds N] [--jobs N] [--lines] [PARSER...]

The build directory is one of the preset `fuzz` (clang, libFuzzer). New inputs go to BUILD-DIRECTORY/tests/fuzz/corpus/PARSER and
are the start of the next session; a crashing input goes beside them and makes the exit code 1.

Edges are libFuzzer's own counters: those reached, of all in the program, of which many belong to code that the parser does not
call. --lines adds, for the header that the fuzzer is about, the share of lines reached by the corpus, by clang's source-based
coverage (needs llvm-profdata and llvm-cov); it compiles each fuzzer once more.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SEEDS = ROOT / "tests" / "data" / "io"
# The limits of tests/fuzz/CMakeLists.txt: an input that needs more has found a fault.
LIMITS = ["-max_len=8192", "-rss_limit_mb=1024", "-malloc_limit_mb=256", "-timeout=10"]


def fuzz(build, parser, seconds):
    corpus = build / "tests" / "fuzz" / "corpus" / parser
    corpus.mkdir(parents=True, exist_ok=True)
    program = build / "tests" / "fuzz" / f"kfer_fuzz_{parser}"
    command = [str(program), f"-max_total_time={seconds}", "-print_final_stats=1", *LIMITS,
               f"-artifact_prefix={corpus.parent / parser}-", str(corpus)]
    if SEEDS.is_dir():
        command.append(str(SEEDS))
    output = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace")
    text = output.stderr

    def number(pattern, last=True):
        found = re.findall(pattern, text)
        return int(found[-1 if last else 0]) if found else 0

    return {
        "parser": parser,
        "executions": number(r"stat::number_of_executed_units:\s*(\d+)"),
        "per_second": number(r"stat::average_exec_per_sec:\s*(\d+)"),
        "edges": number(r" cov: (\d+)"),
        "of_edges": number(r"Loaded \d+ modules\s+\((\d+) inline", last=False),
        "features": number(r" ft: (\d+)"),
        "corpus": number(r" corp: (\d+)"),
        "artifacts": re.findall(r"Test unit written to (\S+)", text),
        "ok": output.returncode == 0,
        "log": text,
    }


def source_of(parser):
    return ROOT / "tests" / "fuzz" / f"{parser}_fuzz.cpp"


def header_of(parser):
    """The header that a fuzzer is about: the first of kfer's that its source includes."""
    included = re.findall(r'#include "(kfer/[^"]+)"', source_of(parser).read_text())
    return ROOT / "include" / included[0]


def tool(name):
    found = [path for path in (shutil.which(name), *(shutil.which(f"{name}-{v}") for v in range(22, 12, -1))) if path]
    if not found:
        sys.exit(f"fuzz_report.py --lines: {name} is not installed (package llvm)")
    return found[0]


def lines_reached(build, parser):
    """(reached, all) lines of the parser's header, over the corpus and the seeds."""
    profdata, cov = tool("llvm-profdata"), tool("llvm-cov")
    commands = json.loads((build / "compile_commands.json").read_text())
    entry = next(e for e in commands if pathlib.Path(e["file"]).name == source_of(parser).name)
    folder = build / "tests" / "fuzz" / "coverage"
    folder.mkdir(exist_ok=True)
    program, raw, merged = (folder / f"{parser}{end}" for end in ("", ".profraw", ".profdata"))
    flags = [word for word in entry["command"].split()[1:] if not word.startswith("-fsanitize") and word != "-c"]
    flags = flags[: flags.index("-o")]
    # Without a sanitizer: what counts is which lines run. One run over all inputs, by libFuzzer's own main.
    compiler = entry["command"].split()[0]
    subprocess.run([compiler, *flags, "-fsanitize=fuzzer", "-fprofile-instr-generate", "-fcoverage-mapping",
                    str(source_of(parser)), "-ldnnl", "-o", str(program)], cwd=entry["directory"], check=True)
    inputs = [str(build / "tests" / "fuzz" / "corpus" / parser)] + ([str(SEEDS)] if SEEDS.is_dir() else [])
    subprocess.run([str(program), "-runs=0", *inputs], env=dict(os.environ, LLVM_PROFILE_FILE=str(raw)), check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    subprocess.run([profdata, "merge", "-sparse", str(raw), "-o", str(merged)], check=True)
    exported = subprocess.run([cov, "export", "-summary-only", f"-instr-profile={merged}", str(program)],
                              capture_output=True, text=True, check=True)
    wanted = os.path.realpath(header_of(parser))
    for file in json.loads(exported.stdout)["data"][0]["files"]:
        if os.path.realpath(file["filename"]) == wanted:
            return file["summary"]["lines"]["covered"], file["summary"]["lines"]["count"]
    return 0, 0


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("build", type=pathlib.Path)
    options.add_argument("--seconds", type=int, default=60)
    options.add_argument("--jobs", type=int, default=1)
    options.add_argument("--lines", action="store_true")
    options.add_argument("parsers", nargs="*", metavar="PARSER")
    given = options.parse_intermixed_args()
    built = sorted(p.name[len("kfer_fuzz_"):] for p in (given.build / "tests" / "fuzz").glob("kfer_fuzz_*") if p.is_file())
    if not built:
        sys.exit(f"fuzz_report.py: no fuzzer under {given.build}/tests/fuzz")
    for parser in given.parsers:
        if parser not in built:
            sys.exit(f"fuzz_report.py: no fuzzer '{parser}'; there are: {', '.join(built)}")

    print(f"{'parser':<14}{'executions':>12}{'per second':>12}{'edges':>8}{'of':>8}{'features':>10}{'corpus':>8}"
          + ("  lines of its header" if given.lines else ""), flush=True)
    failed = []
    with concurrent.futures.ThreadPoolExecutor(given.jobs) as pool:
        for row in pool.map(lambda parser: fuzz(given.build, parser, given.seconds), given.parsers or built):
            line = "{parser:<14}{executions:>12}{per_second:>12}{edges:>8}{of_edges:>8}{features:>10}{corpus:>8}".format(**row)
            if given.lines:
                reached, lines = lines_reached(given.build, row["parser"])
                name = header_of(row["parser"]).relative_to(ROOT / "include" / "kfer")
                line += f"  {100 * reached / max(lines, 1):.1f} % of {lines} in {name}"
            print(line, flush=True)
            if not row["ok"]:
                failed.append(row)
    for row in failed:
        print(f"\n{row['parser']} has failed: {', '.join(row['artifacts'])}\n{row['log'][-3000:]}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
