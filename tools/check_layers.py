#!/usr/bin/env python3
"""Checks that includes point one way through the layers of include/kfer, and that the light headers stay light.

usage: check_layers.py [root]

Rules
  1. A folder includes only itself and folders of lower levels; folders of one level never include each other.
     `io` is narrower: it knows core alone. `fwd.hpp` counts as core; `kfer.hpp` stands above everything.
  2. kernels/ includes nothing of kfer but kernels/.
  3. Nothing outside of the standard library and the system is reachable from the headers of tensor/, autograd/ and
     nn/, except through tensor/host.hpp (xtensor) and the backends, *_cpu.hpp and *_cuda.hpp.
  4. No <iostream> under include/: it costs every user a static constructor and compile time.
  5. An include of kfer names a file that exists, from the include root: "kfer/core/shape.hpp".
"""

import re
import sys
from pathlib import Path

LEVELS = [["core"], ["device"], ["tensor"], ["autograd", "io"], ["ops", "data", "metrics"], ["nn"],
          ["optim", "models"], ["train"]]
LEVEL = {folder: level for level, folders in enumerate(LEVELS) for folder in folders}
ONLY = {"io": {"core"}}  # narrower than the order allows
LIGHT = {"tensor", "autograd", "nn"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)
COMMENT = re.compile(r"/\*.*?\*/", re.S)
SYSTEM = re.compile(  # the standard library, the C library, POSIX and the compiler's own headers
    r"^([a-z_]+|(sys|linux|netinet|arpa|bits|asm)/.*"
    r"|(assert|ctype|errno|fcntl|fenv|float|inttypes|limits|locale|math|setjmp|signal|stdarg|stddef|stdint|stdio|stdlib"
    r"|string|time|dirent|dlfcn|poll|pthread|sched|semaphore|strings|termios|ucontext|unistd"
    r"|omp|[a-z]*intrin|arm_neon|cpuid)\.h)$")


def folder_of(path):
    """'core' of 'kfer/core/shape.hpp'; 'fwd.hpp' of 'kfer/fwd.hpp'."""
    return path.split("/")[1]


def is_gateway(path):
    return path == "kfer/tensor/host.hpp" or path.endswith(("_cpu.hpp", "_cuda.hpp"))


def read_includes(root):
    """{path below include/: [(path or third-party name, is_kfer, line)]}, for include/kfer and kernels."""
    graph = {}
    files = [(f, f.relative_to(root / "include")) for f in sorted((root / "include").rglob("*.hpp"))]
    files += [(f, Path("kfer") / f.relative_to(root)) for f in sorted((root / "kernels").rglob("*.*"))
              if f.suffix in {".cuh", ".hpp", ".h", ".cu"}]
    for file, name in files:
        source = COMMENT.sub(lambda m: "\n" * m.group().count("\n"), file.read_text(encoding="utf-8"))
        edges = []
        for match in INCLUDE.finditer(source):
            target, line = match.group(2), source.count("\n", 0, match.start(2)) + 1
            if not target.startswith("kfer/") and (file.parent / target).is_file():  # relative
                target = (name.parent / target).as_posix()
                while "/../" in target:
                    target = re.sub(r"[^/]+/\.\./", "", target, count=1)
            edges.append((target, target.startswith("kfer/"), line))
        graph[name.as_posix()] = edges
    return graph


def check_order(graph):
    for path, edges in graph.items():
        here = folder_of(path)
        for target, is_kfer, line in edges:
            where = f"{path}:{line}"
            if target == "iostream" and here != "kernels":
                yield f"{where}: <iostream> in a header"
            if not is_kfer:
                continue
            if target not in graph:
                yield f"{where}: includes {target}, which does not exist"
                continue
            there = folder_of(target)
            if here == "kfer.hpp" or here == there or there == "fwd.hpp":
                continue
            if here == "kernels":
                yield f"{where}: kernels/ includes {target}; it must know nothing of kfer"
            elif there == "kfer.hpp":
                yield f"{where}: includes the umbrella header"
            elif there == "kernels":
                if LEVEL.get(here, 0) < LEVEL["device"]:
                    yield f"{where}: {here}/ includes {target}; core knows no kernel"
            elif here == "fwd.hpp":
                if there != "core":
                    yield f"{where}: fwd.hpp includes {target}; it may include core alone"
            elif here not in LEVEL or there not in LEVEL:
                yield f"{where}: {here if here not in LEVEL else there}/ has no place in the order; see check_layers.py"
            elif here in ONLY and there not in ONLY[here]:
                yield f"{where}: {here}/ includes {target}; it may include {', '.join(sorted(ONLY[here]))} alone"
            elif LEVEL[there] == LEVEL[here]:
                yield f"{where}: {here}/ includes {target}, of the same level"
            elif LEVEL[there] > LEVEL[here]:
                yield f"{where}: {here}/ includes {target}, of a higher level"


def check_light(graph):
    """Walks from every light header; reports each third-party header once, with the chain that reaches it."""
    reported = set()
    for start in graph:
        if folder_of(start) not in LIGHT or is_gateway(start):
            continue
        chains, seen = [[start]], {start}
        while chains:
            chain = chains.pop()
            for target, is_kfer, line in graph.get(chain[-1], []):
                if is_kfer:
                    if target not in seen and not is_gateway(target):
                        seen.add(target)
                        chains.append(chain + [target])
                elif not SYSTEM.match(target) and (chain[-1], target) not in reported:
                    reported.add((chain[-1], target))
                    yield f"{chain[-1]}:{line}: <{target}> is reachable from a light header: {' -> '.join(chain)}"


def check(root):
    graph = read_includes(root)
    return len(graph), list(check_order(graph)) + list(check_light(graph))


def main():
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    count, problems = check(root)
    if count == 0:
        problems = [f"no header found under {root}/include"]
    print("\n".join(problems) or f"{count} headers, every include in order")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
