#!/usr/bin/env python3
"""Tests of benchmarks/compare_gpu.py on made-up figures."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TOOL = Path(__file__).resolve().parents[2] / "benchmarks" / "compare_gpu.py"


class Compare(unittest.TestCase):
    def run_tool(self, ours, theirs):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "a").write_text(ours, encoding="utf-8")
            (Path(folder) / "b").write_text(theirs, encoding="utf-8")
            return subprocess.run([sys.executable, TOOL, Path(folder) / "a", Path(folder) / "b"], capture_output=True,
                                  text=True)

    def test_ratio_is_of_the_best_variants(self):
        row = '{{"bench": "m/train", "framework": "{}", "variant": "{}", "median_ms": {}}}\n'
        done = self.run_tool(row.format("kfer 1", "eager", 4) + row.format("kfer 1", "captured", 2),
                             row.format("pytorch 2", "eager", 5) + row.format("pytorch 2", "graph", 4))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("kfer 1 and pytorch 2.", done.stdout)
        self.assertEqual(done.stdout.splitlines()[-1], "| m/train | 4.000 | 2.000 | 5.000 | 4.000 |  |  | 0.50 |")

    def test_what_failed_is_a_dash_and_counts_for_nothing(self):
        row = '{"bench": "m/train", "variant": "eager", "median_ms": 4}\n'
        failed = '{"bench": "m/train", "variant": "max-autotune", "failed": "no result in 240 s"}\n'
        other = '{"bench": "n/train", "variant": "eager", "failed": "out of memory"}\n'
        done = self.run_tool(row + other, row + failed)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.splitlines()[-2:], ["| m/train | 4.000 |  | 4.000 |  |  | - | 1.00 |",
                                                         "| n/train | - |  |  |  |  |  |  |"])

    def test_bad_lines_are_named(self):
        for text, part in [("{}\n", "a:1"), ("", "no measurement"), ("x\n", "a:1")]:
            done = self.run_tool(text, text)
            self.assertEqual(done.returncode, 2)
            self.assertIn(part, done.stderr)


if __name__ == "__main__":
    unittest.main()
