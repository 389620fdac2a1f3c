#!/usr/bin/env python3
"""Each case compiles as it stands, and fails with its expected message once WRONG is defined.

usage: must_not_compile.py --compiler g++ --flags FILE [--jobs N] case.cpp...

A case names its message in a line `// expect: <regular expression>`, matched against one line of the compiler's
errors. That the right half compiles is what keeps a broken include from passing as the expected failure.
"""

import argparse
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def compiles(args, flags, case, *more):
    run = subprocess.run([args.compiler, *flags, "-fsyntax-only", *more, case], text=True, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, env={**os.environ, "LC_ALL": "C"})
    return run.returncode == 0, run.stdout


def check(args, flags, case):
    """None, or what is wrong with the case."""
    source = Path(case).read_text(encoding="utf-8")
    expect = re.search(r"^// expect: (.+)$", source, re.M)
    if not expect:
        return "has no `// expect:` line"
    if "WRONG" not in source.replace(expect.group(), ""):
        return "has nothing under #ifdef WRONG"
    ok, output = compiles(args, flags, case)
    if not ok:
        return f"must compile without WRONG:\n{output}"
    ok, output = compiles(args, flags, case, "-DWRONG")
    if ok:
        return "compiles with WRONG defined, and must not"
    errors = [line for line in output.splitlines() if "error:" in line]
    if not any(re.search(expect.group(1), line) for line in errors):
        return f"fails, but no error matches '{expect.group(1)}':\n" + "\n".join(errors)
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--flags", required=True)
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("cases", nargs="+")
    args = parser.parse_args()
    flags = [f for f in Path(args.flags).read_text().split("\n") if f]
    with ThreadPoolExecutor(args.jobs) as pool:
        results = list(pool.map(lambda case: check(args, flags, case), args.cases))
    for case, problem in zip(args.cases, results):
        print(f"{Path(case).name}: {problem or 'ok'}")
    return 1 if any(results) else 0


if __name__ == "__main__":
    sys.exit(main())
