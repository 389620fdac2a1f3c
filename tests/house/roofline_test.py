#!/usr/bin/env python3
"""Tests of tools/roofline.py on made-up measurements."""

import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

TOOL = Path(__file__).resolve().parents[2] / "tools" / "roofline.py"
HEADER = "device,suite,case,variant,seconds,bytes,flops,copy_ceiling,flop_ceiling\n"
SVG = "{http://www.w3.org/2000/svg}"


class Roofline(unittest.TestCase):
    def run_tool(self, csv):
        folder = Path(self.enterContext(tempfile.TemporaryDirectory())) if hasattr(self, "enterContext") else Path(
            tempfile.mkdtemp())
        (folder / "in.csv").write_text(csv, encoding="utf-8")
        done = subprocess.run([sys.executable, TOOL, folder / "in.csv", "-o", folder / "out.svg"], capture_output=True,
                              text=True)
        return done, folder / "out.svg"

    def test_shares_and_points(self):
        done, svg = self.run_tool(HEADER + '"made up",softmax,"a & b",1_naive,2e-3,1e9,0,1e12,0\n'
                                  '"made up",softmax,"a & b",2_online,1.25e-3,1e9,0,1e12,0\n'
                                  '"made up",gemm,"4096",1_naive,1e-3,1e9,1e12,1e12,5e14\n')
        self.assertEqual(done.returncode, 0, done.stderr)
        root = ElementTree.parse(svg).getroot()
        words = [t.text for t in root.iter(SVG + "text")]
        self.assertIn("50.0 %", words)
        self.assertIn("80.0 %", words)
        self.assertIn("softmax: a & b", words)
        circles = list(root.iter(SVG + "circle"))
        self.assertEqual(len(circles), 1)
        self.assertIn("1000.00 TFLOP/s", circles[0].find(SVG + "title").text)
        for element in root.iter():
            for value in element.attrib.values():
                self.assertNotIn("nan", value)

    def test_last_run_of_a_variant_counts(self):
        row = '"made up",softmax,"c",1_naive,{},1e9,0,1e12,0\n'
        done, svg = self.run_tool(HEADER + row.format("2e-3") + row.format("4e-3"))
        words = svg.read_text(encoding="utf-8")
        self.assertIn("25.0 %", words)
        self.assertNotIn("50.0 %", words)

    def test_bad_files(self):
        for csv, part in [("a,b\n1,2\n", "expected the columns"), (HEADER, "no measurement"),
                          (HEADER + "d,s,c,v,0,1,0,1,0\n", "in.csv:2"), (HEADER + "d,s,c,v,x,1,0,1,0\n", "in.csv:2")]:
            done, svg = self.run_tool(csv)
            self.assertEqual(done.returncode, 2)
            self.assertIn(part, done.stderr)
            self.assertEqual(len(done.stderr.splitlines()), 1)
            self.assertFalse(svg.exists())


if __name__ == "__main__":
    unittest.main()
