#!/usr/bin/env python3
"""Tests of benchmarks/record_gpu.sh on programs that are made up, as is the GPU."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FIGURE = '{"bench": "m/train", "framework": "kfer 1", "variant": "eager", "median_ms": 2}'


class Record(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.build, self.out = Path(self.folder.name) / "build", Path(self.folder.name) / "out"
        self.program("../bin/nvidia-smi", "echo name; echo made-up")
        self.program("../bin/python-without-torch", "exit 1")
        for name in ("cuda/kfer_test_cuda_device", "cuda/kfer_test_cuda_gemm", "cudnn/kfer_test_cudnn_conv",
                     "cuda/kfer_test_cuda_conv_kernels", "cuda/kfer_test_cuda_operations"):
            self.program("tests/" + name, "echo fine")
        self.program("benchmarks/models/bench_models_cuda", f"echo '{FIGURE}'")
        self.program("benchmarks/kernels/softmax", "echo a table; echo device >\"$2\"")

    def program(self, name, body):
        path = self.build / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        path.chmod(0o755)

    def record(self, *parts, **environment):
        environment = os.environ | {"PATH": f"{self.build / '../bin'}:{os.environ['PATH']}",
                                    "KFER_PYTHON": str(self.build / "../bin/python-without-torch")} | environment
        done = subprocess.run(["bash", ROOT / "benchmarks/record_gpu.sh", self.build, self.out, *parts],
                              capture_output=True, text=True, env=environment, timeout=120)
        self.summary = (self.out / "summary.txt").read_text(encoding="utf-8") if self.out.exists() else ""
        return done

    def count(self, beginning):
        return sum(line.startswith(beginning) for line in self.summary.splitlines())

    def test_what_is_well_is_recorded(self):
        done = self.record("tests", "models")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(self.count("ok"), 11, self.summary)  # seven of tests, four models
        self.assertEqual((self.out / "models.jsonl").read_text(encoding="utf-8").splitlines(), [FIGURE] * 4)
        self.assertNotIn("failure", done.stdout)

    def test_the_first_failure_is_shown_and_the_others_go_on(self):
        self.program("tests/cuda/kfer_test_cuda_gemm", "echo before; echo 'x.cu:7: ERROR: CHECK( 1 == 2 )'; echo after; exit 1")
        self.program("tests/cuda/kfer_test_cuda_operations", "echo ERROR: a later one; exit 1")
        done = self.record("tests")
        self.assertEqual(done.returncode, 1)
        self.assertIn("the first failure: gemm: FAILED (exit code 1)", done.stdout)
        self.assertIn("x.cu:7: ERROR: CHECK( 1 == 2 )", done.stdout)
        self.assertNotIn("a later one", done.stdout)
        self.assertEqual(self.count("ok"), 5, self.summary)
        self.assertEqual(self.count("FAILED"), 2, self.summary)

    def test_a_program_that_hangs_is_ended(self):
        self.program("tests/cuda/kfer_test_cuda_device", "sleep 100")
        done = self.record("tests", LIMIT="1")
        self.assertEqual(done.returncode, 1)
        self.assertIn("took too long", self.summary)
        self.assertEqual(self.count("ok"), 6, self.summary)

    def test_what_is_beyond_the_budget_is_left_out(self):
        done = self.record("tests", BUDGET="5")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.count("left out"), 7, self.summary)

    def test_without_a_build_or_a_gpu_it_says_so(self):
        self.build = self.build / "nowhere"
        self.assertIn("no build folder", self.record("tests", PATH=os.environ["PATH"]).stderr)


if __name__ == "__main__":
    unittest.main()
