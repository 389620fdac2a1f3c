#!/usr/bin/env python3
"""Keeps the documents true: paths, links and commands they name exist; their complete programs are given to the build.

usage: check_docs.py [--root DIR] FILE.md...              check paths, links and tools/dev verbs
       check_docs.py --extract OUT_DIR FILE.md...         write each ```cpp block that has a main to OUT_DIR

An extracted program is named <document>_<n>.cpp; it runs in ctest, unless its fence says ```cpp no-run, which makes
it <document>_<n>_norun.cpp.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

FENCE = re.compile(r"^```(.*?)\n(.*?)^```\s*$", re.M | re.S)
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"^\.?[\w.-]+(/[\w.*<>{},-]+)*/?$")


def programs(text):
    """[(info string, code)] of the fenced C++ blocks that are whole programs."""
    return [(info.split(), code) for info, code in FENCE.findall(text)
            if info.split()[:1] == ["cpp"] and re.search(r"\bint main\(", code)]


def extract(documents, out_dir):
    out_dir.mkdir(parents=True, exist_ok=True)
    for document in documents:
        for number, (info, code) in enumerate(programs(document.read_text(encoding="utf-8")), 1):
            suffix = "_norun" if "no-run" in info else ""
            path = out_dir / f"{document.stem.lower()}_{number}{suffix}.cpp"
            if not path.is_file() or path.read_text(encoding="utf-8") != code:
                path.write_text(code, encoding="utf-8")
            print(path)


def verbs_of_dev(root):
    """The verbs that `tools/dev help` lists."""
    if not (root / "tools/dev").is_file():
        return set()
    text = subprocess.run([root / "tools/dev", "help"], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"^  ([a-z]+)\b", text, re.M))


def check(document, root, verbs):
    text = document.read_text(encoding="utf-8")
    tops = {p.name for p in root.iterdir()}
    shell = [line.removeprefix("$ ").split("#")[0] for info, code in FENCE.findall(text)
             if info.split()[:1] in (["sh"], ["bash"], ["console"]) for line in code.splitlines()]
    prose = FENCE.sub("", text)

    for target in LINK.findall(prose):
        if not re.match(r"[a-z]+:|#", target) and not (document.parent / target.split("#")[0]).exists():
            yield f"links to {target}, which does not exist"
    for words in (line.split() for line in shell + CODE.findall(prose)):
        for word in words:
            top = word.removeprefix("./").split("/")[0]
            if top.startswith("build") or top not in tops or "/" not in word or not PATH.match(word):
                continue  # a build's output, or no path of this tree
            path = re.sub(r"[<{].*", "*", word.removeprefix("./")).rstrip("/")
            if not (any(root.glob(path)) if "*" in path else (root / path).exists()):
                yield f"names {word}, which does not exist"
        if "tools/dev" in words:
            verb = words[words.index("tools/dev") + 1:][:1]
            if verb and re.match(r"^[a-z]+$", verb[0]) and verb[0] not in verbs:
                yield f"calls `tools/dev {verb[0]}`, which is no verb of it"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    parser.add_argument("--extract", type=Path)
    parser.add_argument("documents", nargs="+", type=Path)
    args = parser.parse_args()
    if args.extract:
        extract(args.documents, args.extract)
        return 0
    verbs = verbs_of_dev(args.root)
    problems = [f"{document}: {problem}" for document in args.documents for problem in check(document, args.root, verbs)]
    print("\n".join(problems) or f"{len(args.documents)} documents, every path, link and command exists")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
