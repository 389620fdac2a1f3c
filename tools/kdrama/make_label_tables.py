#!/usr/bin/env python3
"""Writes include/kfer/data/kdrama_tables.hpp from the CSV files beside this script.

The CSV files hold how often each label set occurs in the published splits of the K-drama set
(Cho et al., BigComp 2022), counted from its label files. `--check` only compares.
"""
import csv
import pathlib
import sys

here = pathlib.Path(__file__).resolve().parent
target = here.parents[1] / "include/kfer/data/kdrama_tables.hpp"

LABELS = {
    "multi-label": "moved fearful bored surprised angry anxious smitten fluttered disappointed fulfilled ashamed "
    "sad upset sympathetic passionate depressed amused affectionate guilty neutral jealous peaceful happy "
    "disgusted".split(),
    "6_basic_emo": "angry disgusted surprised fearful happy sad".split(),
}
LABELS["22_emo"] = [x for x in LABELS["multi-label"] if x not in ("bored", "neutral")]
SOURCES = {
    "multi-label": ("multi_label", "kdrama_label_sets.csv"),
    "22_emo": ("emo22", "kdrama_22_emo_counts.csv"),
    "6_basic_emo": ("basic6", "kdrama_6_basic_emo_counts.csv"),
}


def table(name):
    symbol, source = SOURCES[name]
    labels = LABELS[name]
    rows = []
    with open(here / source, newline="") as file:
        for row in list(csv.reader(file))[1:]:
            mask = sum(1 << labels.index(label) for label in row[0].split("|"))
            rows.append((mask, *map(int, row[1:4]), row[0]))
    out = [f"inline constexpr std::array<std::string_view, {len(labels)}> {symbol}_names{{"]
    out.append("    " + ", ".join(f'"{label}"' for label in labels) + "};")
    out.append(f"inline constexpr std::array<LabelSetCount, {len(rows)}> {symbol}_counts{{{{")
    out += [f"    {{0x{mask:06x}, {{{a}, {b}, {c}}}}},  // {text}" for mask, a, b, c, text in rows]
    out.append("}};")
    return "\n".join(out)


text = """// How often each label set occurs in the published splits of the K-drama set (Cho et al., BigComp 2022).
// Written by tools/kdrama/make_label_tables.py from the CSV files beside it: change those, not this.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace kfer::data {

/// Labels as bits (bit i is label i of the set's order), and their images in {train, valid, test}.
struct LabelSetCount {
  std::uint32_t labels;
  std::array<std::int32_t, 3> images;
};

}  // namespace kfer::data

namespace kfer::data::kdrama_tables {

// clang-format off
""" + "\n\n".join(table(name) for name in SOURCES) + """
// clang-format on

}  // namespace kfer::data::kdrama_tables
"""

if "--check" in sys.argv:
    sys.exit(0 if target.read_text() == text else f"{target} is not what the CSV files say: run {__file__}")
target.write_text(text)
