#!/usr/bin/env python3
"""check_docs.py finds each planted error in a document, and nothing in a true one."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import check_docs  # noqa: E402

TRUE = """# kfer
See [the guide](docs/guide.md), [a section](#kfer), [elsewhere](https://example.org/x) and `include/kfer/core`.
`include/*.hpp` and `runs/<task>` and `a/b` say nothing wrong; `tools/dev` alone neither.
```sh
tools/dev demo --fast   # the demo
build/examples/demo
```
```cpp
#include <kfer/kfer.hpp>
int main() {}
```
```cpp no-run
int main(int argc, char** argv) {}
```
```cpp
auto fragment = 1;
```
"""
PLANTED = [("[x](docs/absent.md)", "links to docs/absent.md"), ("`include/absent.hpp`", "names include/absent.hpp"),
           ("`tools/absent --flag`", "names tools/absent"), ("`include/x*.hpp`", "names include/x*.hpp"),
           ("```sh\ntools/dev dance\n```", "no verb"), ("`tools/dev dance`", "no verb")]


class CheckDocs(unittest.TestCase):
    def problems(self, text):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for path in ("docs/guide.md", "include/kfer/core/shape.hpp", "include/a.hpp", "tools/dev", "README.md"):
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text("")
            (root / "README.md").write_text(text, encoding="utf-8")
            return list(check_docs.check(root / "README.md", root, {"demo", "test"}))

    def test_a_true_document_passes(self):
        self.assertEqual(self.problems(TRUE), [])

    def test_every_planted_error_is_found(self):
        for text, expected in PLANTED:
            with self.subTest(text=text):
                found = self.problems(TRUE + "\n" + text + "\n")
                self.assertTrue(any(expected in p for p in found), f"expected '{expected}' in {found}")

    def test_whole_programs_are_extracted(self):
        self.assertEqual([info for info, _ in check_docs.programs(TRUE)], [["cpp"], ["cpp", "no-run"]])


if __name__ == "__main__":
    unittest.main()
