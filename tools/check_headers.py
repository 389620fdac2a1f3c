#!/usr/bin/env python3
"""Compiles every header under include/kfer alone, warnings as errors.

usage: check_headers.py --compiler g++ --flags FILE [--cache FILE] [--jobs N] [--root DIR]

FILE of --flags holds compiler arguments, one a line. With --cache, a header whose own text and whose included files
of kfer are unchanged since it last passed under the same compiler and flags is not compiled again.
A header that needs the CUDA toolkit is left out where the flags do not lead to one, and counted.
Exits 77 (skipped) with a message if the compiler is not installed.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


# Of g++ and of clang++.
NO_TOOLKIT = re.compile(r"fatal error: '?(cuda|cudnn|cublas)\w*\.h('? file not found|: No such file)")


def digest(paths, salt):
    result = hashlib.sha256(salt.encode())
    for path in paths:
        try:
            result.update(Path(path).read_bytes())
        except OSError:
            return None
    return result.hexdigest()


def compile_alone(compiler, flags, header):
    """(the files it read, compiler output or None)."""
    with tempfile.TemporaryDirectory() as folder:
        depfile = Path(folder) / "deps"
        run = subprocess.run(
            [compiler, *flags, "-Wall", "-Wextra", "-Wno-unknown-pragmas", "-Werror", "-fsyntax-only", "-MMD", "-MF", depfile, "-x", "c++", "-"],
            input=f"#include <{header}>\n", text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if run.returncode != 0:
            return [], run.stdout
        words = depfile.read_text().replace("\\\n", " ").split()
        return sorted(w for w in words[1:] if w != "-" and os.path.isfile(w)), None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--flags", required=True)
    parser.add_argument("--cache")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--root", default=Path(__file__).resolve().parent.parent)
    args = parser.parse_args()

    if not shutil.which(args.compiler):
        print(f"SKIPPED: {args.compiler} is not installed")
        return 77
    include = Path(args.root) / "include"
    headers = sorted(p.relative_to(include).as_posix() for p in include.rglob("*.hpp"))
    if not headers:
        sys.exit(f"no header found under {include}")
    flags = Path(args.flags).read_text().split("\n")
    flags = [f for f in flags if f] + [f"-I{include}"]
    version = subprocess.run([args.compiler, "--version"], text=True, capture_output=True, check=True).stdout
    salt = "\n".join([version, *flags])
    try:
        passed = json.loads(Path(args.cache).read_text()) if args.cache else {}
    except (OSError, ValueError):
        passed = {}

    def check(header):
        known = passed.get(header)
        if known and digest(known["files"], salt) == known["digest"]:
            return header, known, None
        files, output = compile_alone(args.compiler, flags, header)
        return header, {"files": files, "digest": digest(files, salt)}, output

    with ThreadPoolExecutor(args.jobs) as pool:
        results = list(pool.map(check, headers))
    results, left_out = [r for r in results if not NO_TOOLKIT.search(r[2] or "")], len(results)
    left_out -= len(results)
    failures = [(header, output) for header, _, output in results if output is not None]
    for header, output in failures:
        print(f"{header} does not compile alone:\n{output}")
    fresh = sum(passed.get(header) is not state for header, state, _ in results)
    print(f"{args.compiler}: {len(results) - len(failures)} of {len(results)} headers compile alone ({fresh} compiled now)"
          + (f"; {left_out} need the CUDA toolkit" if left_out else ""))
    if args.cache:
        state = {header: s for header, s, output in results if output is None}
        temporary = Path(args.cache + ".tmp")
        temporary.write_text(json.dumps(state))
        temporary.replace(args.cache)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
