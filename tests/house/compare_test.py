#!/usr/bin/env python3
"""benchmarks/compare.py joins, divides and averages right, and refuses what is no time."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
import compare  # noqa: E402


class Compare(unittest.TestCase):
    def read(self, text):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "results.jsonl"
            path.write_text(text, encoding="utf-8")
            return compare.read(path)

    def test_joins_and_divides(self):
        ours = self.read('a heading\n{"bench": "a", "median_ms": 2, "min_ms": 1.5, "peak_mb": 10}\n'
                         '{"bench": "a", "median_ms": 5}\n{"bench": "b", "median_ms": 8}\n{"bench": "c", "median_ms": 1}\n')
        theirs = self.read('{"bench": "b", "median_ms": 4}\n{"bench": "a", "median_ms": 16}\n{"device": "cpu"}\n')
        rows = {row[0]: row for row in compare.table({"kfer": ours, "torch": theirs})}
        self.assertEqual(rows["bench"][-1], "kfer/torch")
        self.assertEqual(rows["a"], ["a", "2", "1.5", "10", "16", "-", "-", "0.12"])
        self.assertEqual(rows["b"][-1], "2.00")
        self.assertEqual(rows["c"][-1], "-")
        self.assertEqual(rows["geometric mean"][-1], "0.50")

    def test_refuses_what_is_no_time(self):
        for median in ("NaN", "0", "-1", "null", '"3"'):
            with self.subTest(median=median), self.assertRaisesRegex(SystemExit, "expected a time"):
                self.read('{"bench": "a", "median_ms": %s}\n' % median)
        with self.assertRaisesRegex(SystemExit, "not JSON"):
            self.read('{"bench": \n')


if __name__ == "__main__":
    unittest.main()
