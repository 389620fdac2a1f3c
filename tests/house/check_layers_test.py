#!/usr/bin/env python3
"""check_layers.py finds each planted violation, and nothing in a clean tree."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import check_layers  # noqa: E402

CLEAN = {
    "include/kfer/core/shape.hpp": "#include <vector>\n#include <sys/mman.h>\n#include <immintrin.h>\n",
    "include/kfer/fwd.hpp": '#include "kfer/core/shape.hpp"\n',
    "include/kfer/device/cpu_dnnl.hpp": "#include <dnnl.hpp>\n",
    "include/kfer/tensor/tensor.hpp": "#include <kfer/core/shape.hpp>\n#include <kfer/fwd.hpp>\n",
    "include/kfer/tensor/host.hpp": "#include <xtensor/xarray.hpp>\n#include <kfer/tensor/tensor.hpp>\n",
    "include/kfer/autograd/variable.hpp": '#include "kfer/tensor/tensor.hpp"\n',
    "include/kfer/io/npz.hpp": '#include "kfer/core/shape.hpp"\n',
    "include/kfer/io/image.hpp": "#include <stb/stb_image.h>\n",
    "include/kfer/ops/conv2d/conv2d.hpp": '#include "conv2d_cpu.hpp"\n#include "../../autograd/variable.hpp"\n',
    "include/kfer/ops/conv2d/conv2d_cpu.hpp":
        '#include <kfer/device/cpu_dnnl.hpp>\n#include <kfer/ops/conv2d/conv2d.hpp>\n',
    "include/kfer/data/kdrama.hpp": "#include <kfer/io/npz.hpp>\n#include <kfer/tensor/host.hpp>\n",
    "include/kfer/nn/conv2d.hpp": "#include <kfer/ops/conv2d/conv2d.hpp>\n",
    "include/kfer/kfer.hpp": "#include <kfer/nn/conv2d.hpp>\n",
    "kernels/common/launch.cuh": "#include <cstdint>\n",
    "kernels/adam/1_naive.cuh": '#include "../common/launch.cuh"\n',
}

# file, text added to it, a part of the message expected
PLANTED = [
    ("include/kfer/autograd/variable.hpp", "#include <kfer/ops/conv2d/conv2d.hpp>\n", "of a higher level"),
    ("include/kfer/autograd/variable.hpp", "#include <kfer/io/npz.hpp>\n", "of the same level"),
    ("include/kfer/data/kdrama.hpp", "#include <kfer/ops/conv2d/conv2d.hpp>\n", "of the same level"),
    ("include/kfer/io/npz.hpp", "#include <kfer/tensor/tensor.hpp>\n", "io/ includes"),
    ("include/kfer/core/shape.hpp", '#include "../tensor/tensor.hpp"\n', "of a higher level"),
    ("include/kfer/core/shape.hpp", "  #  include <kfer/kfer.hpp>\n", "umbrella"),
    ("include/kfer/core/shape.hpp", "#include <kfer/kernels/adam/1_naive.cuh>\n", "core knows no kernel"),
    ("include/kfer/core/shape.hpp", "#include <kfer/core/absent.hpp>\n", "does not exist"),
    ("include/kfer/core/shape.hpp", "#include <iostream>\n", "<iostream>"),
    ("include/kfer/core/shape.hpp", "#include <zlib.h>\n", "<zlib.h> is reachable"),
    ("include/kfer/tensor/tensor.hpp", "#include <xtensor/xview.hpp>\n", "xtensor/xview.hpp> is reachable"),
    ("include/kfer/ops/conv2d/conv2d.hpp", "#include <kfer/device/cpu_dnnl.hpp>\n", "<dnnl.hpp> is reachable"),
    ("include/kfer/fwd.hpp", "#include <kfer/tensor/tensor.hpp>\n", "core alone"),
    ("include/kfer/extra/thing.hpp", "#include <kfer/core/shape.hpp>\n", "no place in the order"),
    ("kernels/adam/1_naive.cuh", "#include <kfer/core/shape.hpp>\n", "must know nothing of kfer"),
]


class CheckLayers(unittest.TestCase):
    def problems(self, files):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                path = Path(folder) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            count, problems = check_layers.check(Path(folder))
            self.assertEqual(count, len(files))
            return problems

    def test_clean_tree_passes(self):
        self.assertEqual(self.problems(CLEAN), [])

    def test_commented_include_is_no_include(self):
        files = dict(CLEAN)
        files["include/kfer/core/shape.hpp"] += "// #include <iostream>\n/*\n#include <iostream>\n*/\n"
        self.assertEqual(self.problems(files), [])

    def test_every_planted_violation_is_found(self):
        for name, text, expected in PLANTED:
            with self.subTest(file=name, text=text):
                found = self.problems({**CLEAN, name: CLEAN.get(name, "") + text})
                self.assertTrue(any(expected in p for p in found), f"expected '{expected}' in {found}")


if __name__ == "__main__":
    unittest.main()
