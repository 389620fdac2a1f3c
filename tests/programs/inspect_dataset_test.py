#!/usr/bin/env python3
"""inspect_dataset from outside: its figures against figures counted here, and every planted damage named by file,
record or line.

usage: inspect_dataset_test.py DIRECTORY-OF-TOOLS DIRECTORY-OF-EXAMPLES
"""

import collections
import csv
import json
import os
import random
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import unittest

EXAMPLES = sys.argv.pop(2)
TOOLS = sys.argv.pop(1)
ENVIRONMENT = dict(os.environ, OMP_NUM_THREADS="2", OMP_WAIT_POLICY="passive")
SPLITS = ("train", "valid", "test")


def run(program, *arguments):
    return subprocess.run([program, *map(str, arguments)], capture_output=True, env=ENVIRONMENT, timeout=120)


def inspect(data, *arguments):
    return run(os.path.join(TOOLS, "inspect_dataset"), "--data-path", data, *arguments)


def crc32c_table():
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
        yield n


TABLE = list(crc32c_table())


def masked_crc(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 255]
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def read_records(path):
    with open(path, "rb") as file:
        content = file.read()
    records, at = [], 0
    while at < len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        records.append(content[at + 12:at + 12 + length])
        at += length + 16
    return records


def write_records(path, records):
    """The file and its index, all checksums right."""
    index, at = [], 0
    with open(path, "wb") as file:
        for record in records:
            length = struct.pack("<Q", len(record))
            file.write(length + struct.pack("<I", masked_crc(length)) + record + struct.pack("<I", masked_crc(record)))
            index.append(f"{at} {len(record) + 16}\n")
            at += len(record) + 16
    with open(path.replace(".tfrecords", ".idx"), "w") as file:
        file.writelines(index)


def partition(rows):
    """{clip: split} of the by-clip partition, from the rows of all splits: the definition, said once more."""
    amounts = {}  # images, clips, images of each label
    for row in rows:
        counts = amounts.setdefault(row[1], [0, 1] + [0] * len(row[2:]))
        for q, n in enumerate([1, 0] + list(map(int, row[2:]))):
            counts[q] += n
    totals = [sum(column) for column in zip(*amounts.values())]
    found = {split: [0] * len(totals) for split in SPLITS}
    tenths = dict(zip(SPLITS, (8, 1, 1)))
    fine = 0

    def change(split, clip, sign):
        def cost(q, n):
            wanted = tenths[split] * totals[q]
            return (10 * n - wanted) ** 2 * 1024 // (10 * wanted) + (fine if n == 0 else 0)
        return sum(cost(q, found[split][q] + sign * n) - cost(q, found[split][q])
                   for q, n in enumerate(amounts[clip]) if n)

    def add(split, clip, sign):
        for q, n in enumerate(amounts[clip]):
            found[split][q] += sign * n

    def fnv(text):
        h = 0xCBF29CE484222325
        for byte in text.encode():
            h = (h ^ byte) * 0x100000001B3 % 2**64
        return h

    order = sorted(amounts, key=lambda clip: (-amounts[clip][0], fnv(clip), clip))
    home = {}
    while True:
        left = [sum(amounts[clip][q] for clip in order if clip not in home) for q in range(len(totals))]
        labels = [q for q in range(2, len(totals)) if left[q]]
        rarest = min(labels, key=lambda q: left[q]) if labels else 0
        for clip in order:
            if clip not in home and amounts[clip][rarest]:
                home[clip] = min(SPLITS, key=lambda split: change(split, clip, 1))
                add(home[clip], clip, 1)
        if not labels:
            break
    fine = 10 * 1024 * (sum(totals) + 1)
    while True:
        best, clip, split = min(((change(home[clip], clip, -1) + change(split, clip, 1), clip, split)
                                 for clip in order for split in SPLITS if split != home[clip]), key=lambda move: move[0])
        if best >= 0:
            return home
        add(home[clip], clip, -1)
        add(split, clip, 1)
        home[clip] = split


class InspectDataset(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.sound = os.path.join(cls.folder.name, "sound")
        made = run(os.path.join(EXAMPLES, "make_synthetic_kdrama"), "--data-path", cls.sound, "--images", 400)
        assert made.returncode == 0, made.stderr
        cls.data = os.path.join(cls.folder.name, "damaged")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def setUp(self):
        shutil.rmtree(self.data, ignore_errors=True)
        shutil.copytree(self.sound, self.data)

    def path(self, name):
        return os.path.join(self.data, name)

    def content(self, name):
        with open(self.path(name), "rb") as file:
            return bytearray(file.read())

    def replace(self, name, content):
        with open(self.path(name), "wb") as file:
            file.write(content)

    def spans(self, name):
        return [tuple(map(int, line.split())) for line in self.content(name).decode().splitlines()]

    def rows(self, set_name, split):
        with open(self.path(f"label/label_{set_name}_{split}.csv"), newline="") as file:
            return list(csv.reader(file))

    def report(self, *arguments, code=3):
        """The JSON of an inspection, with the problems of all sets in one list."""
        found = inspect(self.data, "--json", *arguments)
        self.assertEqual(found.returncode, code, found.stdout.decode() + found.stderr.decode())
        self.assertEqual(found.stderr, b"")
        report = json.loads(found.stdout)
        report["list"] = [problem for each in report["sets"].values() for problem in each["problems"]]
        self.assertEqual(report["problems"], len(report["list"]))
        return report

    def problem(self, file, *words, record=None, line=None, arguments=("--sets", "multi-label")):
        """Checks that the one problem there is concerns `file` (and record, line) and says `words`."""
        problems = self.report(*arguments)["list"]
        self.assertEqual(len(problems), 1, problems)
        self.check_problem(problems[0], file, *words, record=record, line=line)

    def check_problem(self, problem, file, *words, record=None, line=None):
        self.assertEqual(problem["file"], self.path(file))
        self.assertEqual((problem["record"], problem["line"]), (record, line), problem)
        for word in words:
            self.assertIn(word, problem["problem"])

    # Sound data.

    def test_a_sound_set_is_counted_as_it_is(self):
        report = self.report(code=0)
        self.assertEqual(sorted(report["sets"]), ["22_emo", "6_basic_emo", "multi-label"])
        checked = 0
        for name, found in report["sets"].items():
            rows = {split: self.rows(name, split) for split in SPLITS}
            labels = rows["train"][0][2:]
            rows = {split: table[1:] for split, table in rows.items()}
            every = [row for split in SPLITS for row in rows[split]]
            checked += len(every)

            self.assertEqual([row["here"] for row in found["images"]],
                             [len(rows[split]) for split in SPLITS] + [len(every)])
            for row in found["images"]:
                self.assertEqual(row["difference"], row["here"] - row["published"])
            for row, c in zip(found["labels"], range(len(labels))):
                self.assertEqual(row["label"], labels[c])
                for split in SPLITS:
                    self.assertEqual(row[split], sum(int(each[c + 2]) for each in rows[split]))

            sets = collections.Counter("|".join(n for n, v in zip(labels, row[2:]) if v == "1") for row in every)
            self.assertEqual({row["labels"]: row["here"] for row in found["label_sets"] if row["here"]}, sets)
            self.assertEqual(sum(row["published"] for row in found["label_sets"]),
                             {"multi-label": 38817, "22_emo": 19800, "6_basic_emo": 12813}[name])
            self.assertEqual({row["labels"]: row["here"] for row in found["labels_an_image"]},
                             collections.Counter(row[2:].count("1") for row in every))
            self.assertEqual({row["drama"]: row["here"] for row in found["dramas"]},
                             collections.Counter(row[0][:2] for row in every))

            clips = collections.Counter(row[1] for row in every)
            homes = collections.defaultdict(set)
            for split in SPLITS:
                for row in rows[split]:
                    homes[row[1]].add(split)
            (summary,) = found["clip_summary"]
            self.assertEqual((summary["clips"], summary["smallest"], summary["median"], summary["largest"]),
                             (len(clips), min(clips.values()), statistics.median(clips.values()), max(clips.values())))
            self.assertEqual(summary["several_label_sets"], 0)
            self.assertEqual(summary["on_several_splits"], sum(len(home) > 1 for home in homes.values()))
            for bin in found["clip_sizes"]:
                self.assertEqual(bin["clips"], sum(bin["from"] <= n <= bin["to"] for n in clips.values()))
            self.assertEqual({clip["clip_id"]: clip["images"] for clip in found["clips"]}, clips)
            self.assertEqual({clip["clip_id"]: clip["by_clip"] for clip in found["clips"]}, partition(every))

            for row in found["leakage"]:
                if row["partition"] == "published":
                    seen = sum("train" in homes[each[1]] for each in rows[row["split"]])
                    self.assertEqual((row["images"], row["seen"]), (len(rows[row["split"]]), seen))
                    self.assertAlmostEqual(row["percent"], 100 * seen / row["images"], delta=0.0501)
                else:
                    self.assertEqual(row["seen"], 0)
                    self.assertGreater(row["images"], 0)
            self.assertEqual(sum(row["here"] for row in found["by_clip"] if row["of"] == "images"), len(every))

            for row, split in zip(found["records"], SPLITS):
                self.assertEqual((row["records"], row["damaged"], row["images"]),
                                 (len(rows[split]), 0, len(rows[split])))
            self.assertEqual([(row["kind"], row["here"]) for row in found["image_kinds"]], [("JPEG 64 x 64", len(every))])
        self.assertEqual(report["records_checked"], checked)

    def test_labels_alone_suffice_for_csv_only(self):
        shutil.rmtree(self.path("tfrecords"))
        report = self.report("--csv-only", code=0)
        self.assertEqual(report["records_checked"], 0)
        self.assertNotIn("records", report["sets"]["multi-label"])
        self.assertGreater(report["sets"]["multi-label"]["leakage"][1]["percent"], 80)
        self.assertEqual(self.report()["sets"].keys(), report["sets"].keys())  # all records are missing: exit code 3

    def test_text_tables_and_sheet(self):
        sheet, tables = os.path.join(self.folder.name, "sheet.png"), os.path.join(self.folder.name, "tables")
        found = inspect(self.data, "--contact-sheet", sheet, "--rows", 3, "--columns", 4, "--output-dir", tables)
        self.assertEqual((found.returncode, found.stderr), (0, b""))
        text = found.stdout.decode()
        for words in ("multi-label", "nothing is missing or damaged", "sad|upset", "images whose clip has images in train",
                      "0 problems"):
            self.assertIn(words, text)
        with open(sheet, "rb") as file:
            png = file.read()
        self.assertEqual(png[:8], b"\x89PNG\r\n\x1a\n")
        width, height = struct.unpack_from(">II", png, 16)
        self.assertGreaterEqual(width, 4 * 68)
        self.assertGreater(height, 9 * 64)  # three sets of three rows
        with open(os.path.join(tables, "clips.csv"), newline="") as file:
            clips = list(csv.DictReader(file))
        self.assertEqual({row["set"] for row in clips}, {"6_basic_emo", "22_emo", "multi-label"})
        self.assertEqual(sum(int(row["images"]) for row in clips if row["set"] == "multi-label"), 400)
        self.assertEqual({row["by_clip"] for row in clips}, set(SPLITS))
        with open(os.path.join(tables, "problems.csv")) as file:
            self.assertEqual(len(file.readlines()), 1)

    def test_a_clip_labelled_in_two_ways_is_counted(self):
        rows = self.rows("multi-label", "train")
        clip = next(row[1] for row in rows[1:] if sum(each[1] == row[1] for each in rows) > 1)
        image = next(row[0] for row in rows if row[1] == clip)
        changed = ",".join([image, clip] + ["1"] * 4 + ["0"] * 20)
        for name in ("label_multi-label", "label_multi-label_train"):
            lines = self.content(f"label/{name}.csv").decode().splitlines()
            lines = [changed if line.startswith(image + ",") else line for line in lines]
            self.replace(f"label/{name}.csv", "\n".join(lines).encode())
        report = self.report("--csv-only", "--sets", "multi-label", code=0)
        self.assertEqual(report["sets"]["multi-label"]["clip_summary"][0]["several_label_sets"], 1)

    # Damaged records.

    RECORDS, INDEX = "tfrecords/multi-label_valid.tfrecords", "tfrecords/multi-label_valid.idx"
    LABELS = "label/label_multi-label_valid.csv"

    def flip(self, name, at):
        content = self.content(name)
        content[at] ^= 0x10
        self.replace(name, content)

    def test_a_flipped_byte_of_data_is_one_damaged_record(self):
        offset, size = self.spans(self.INDEX)[7]
        for at in (offset + 12, offset + size // 2, offset + size - 1):
            with self.subTest(at=at):
                self.flip(self.RECORDS, at)
                self.problem(self.RECORDS, f"at byte {offset}", "data's CRC is wrong", record=7)
                self.flip(self.RECORDS, at)
        self.flip(self.RECORDS, offset + 20)
        found = self.report()["sets"]["multi-label"]["records"][1]
        self.assertEqual((found["damaged"], found["images"]), (1, found["records"] - 1))

    def test_a_damaged_length_costs_one_record_with_an_index_and_the_rest_without(self):
        spans = self.spans(self.INDEX)
        self.flip(self.RECORDS, spans[5][0])
        self.problem(self.RECORDS, "length's CRC is wrong", record=5)
        os.remove(self.path(self.INDEX))
        problems = self.report("--sets", "multi-label")["list"]
        self.assertEqual(len(problems), 3)
        self.check_problem(problems[0], self.INDEX, "missing")
        self.check_problem(problems[1], self.RECORDS, "length's CRC is wrong", "nothing after it", record=5)
        self.check_problem(problems[2], self.RECORDS, f"5 records can be reached, the label file has {len(spans)} rows")

    def test_truncated_records(self):
        spans = self.spans(self.INDEX)
        for k, rest in ((9, 100), (9, 5), (9, spans[9][1] - 2), (0, 3)):
            with self.subTest(k=k, rest=rest):
                self.setUp()
                self.replace(self.RECORDS, self.content(self.RECORDS)[:spans[k][0] + rest])
                found = self.report("--sets", "multi-label")
                gone, cut, count = found["list"]
                self.check_problem(gone, self.RECORDS, f"{len(spans) - k - 1} are missing", record=k + 1)
                self.check_problem(cut, self.RECORDS, "truncated", record=k)
                self.check_problem(count, self.RECORDS, f"{k + 1} records can be reached")
                records = found["sets"]["multi-label"]["records"][1]
                self.assertEqual((records["records"], records["damaged"], records["images"]),
                                 (k + 1, len(spans) - k, k))
                os.remove(self.path(self.INDEX))
                problems = self.report("--sets", "multi-label")["list"]
                self.check_problem(problems[1], self.RECORDS, "truncated", record=k)
        self.replace(self.RECORDS, b"")
        self.assertEqual({problem["file"] for problem in self.report("--sets", "multi-label")["list"]},
                         {self.path(self.RECORDS), self.path(self.INDEX)})

    def test_records_cut_between_two(self):
        spans = self.spans(self.INDEX)
        self.replace(self.RECORDS, self.content(self.RECORDS)[:spans[-1][0]])
        problems = self.report("--sets", "multi-label")["list"]
        self.check_problem(problems[0], self.INDEX, f"names {len(spans)} records, the file holds {len(spans) - 1}")
        self.check_problem(problems[1], self.RECORDS, f"{len(spans) - 1} records", f"{len(spans)} rows")

    def test_damage_below_right_checksums(self):
        sound = read_records(self.path(self.RECORDS))
        row = self.rows("multi-label", "valid")[5]  # of record 4
        label = sound[4].find(b"label")
        bits = bytes(int(cell) for cell in row[2:])
        self.assertGreater(sound[4].index(bits), label)
        other = bytearray(bits)
        other[3] ^= 1
        two = bytearray(bits)
        two[3] = 2
        end = sound[4].rindex(b"\xff\xd9")
        cases = [
            (sound[4].replace(bits, bytes(other)), ("surprised", "line 6", row[0])),
            (sound[4].replace(bits, bytes(two)), ("surprised = 2", "expected 0 or 1")),
            (sound[4].replace(b"label", b"lapel"), ("no feature 'label'",)),
            (sound[4].replace(b"image_raw", b"image_war"), ("no feature 'image_raw'",)),
            (sound[4].replace(b"\xff\xd8\xff", b"\xff\xd7\xff"), ("neither JPEG nor PNG",)),
            (sound[4][:end] + b"\x00\x00" + sound[4][end + 2:], ("JPEG",)),
            (sound[4].replace(b"depth", b"death"), ("no feature 'depth'",)),
            (sound[4][:len(sound[4]) // 2], ("tf.train.Example",)),
            (b"", ("no feature 'label'",)),
        ]
        for content, words in cases:
            with self.subTest(words=words):
                self.assertNotEqual(content, sound[4])
                write_records(self.path(self.RECORDS), sound[:4] + [content] + sound[5:])
                problems = self.report("--sets", "multi-label")["list"]
                self.check_problem(problems[0], self.RECORDS, *words, record=4)
                self.assertEqual({problem["record"] for problem in problems}, {4})

    def test_records_in_another_order_are_seen(self):
        sound = read_records(self.path(self.RECORDS))
        rows = self.rows("multi-label", "valid")[1:]
        k = next(i for i in range(1, len(rows)) if rows[i][2:] != rows[0][2:])
        sound[0], sound[k] = sound[k], sound[0]
        write_records(self.path(self.RECORDS), sound)
        problems = self.report("--sets", "multi-label")["list"]
        self.assertEqual([problem["record"] for problem in problems], [0, k])

    def test_the_same_image_twice_is_counted(self):
        train = read_records(self.path("tfrecords/6_basic_emo_train.tfrecords"))
        name = "tfrecords/6_basic_emo_test.tfrecords"
        test = read_records(self.path(name))
        labels, wanted = self.rows("6_basic_emo", "train")[1:], self.rows("6_basic_emo", "test")[1]
        test[0] = train[next(i for i, row in enumerate(labels) if row[2:] == wanted[2:])]
        write_records(self.path(name), test)
        report = self.report("--sets", "6_basic_emo", code=0)
        self.assertEqual(report["sets"]["6_basic_emo"]["identical_images"], [{"here": 1, "in_test_and_train": 1}])

    def test_indices_that_are_missing_damaged_or_of_another_file(self):
        os.remove(self.path(self.INDEX))
        self.problem(self.INDEX, "missing")
        lines = self.content("tfrecords/multi-label_test.idx").decode().splitlines()
        self.replace(self.INDEX, "\n".join(lines).encode())
        self.problem(self.INDEX, "record 0 of the file", line=1)
        for content, words in ((b"0 x\n", "line 1"), (b"0 100\n50 100\n", "line 2"), (b"\xff\x00\x01", "line 1"),
                               (b"", "names 0 records")):
            self.replace(self.INDEX, content)
            self.problem(self.INDEX, words)

    def test_missing_files(self):
        os.remove(self.path(self.RECORDS))
        self.problem(self.RECORDS, "missing")
        os.remove(self.path(self.LABELS))
        problems = self.report("--sets", "multi-label")["list"]
        self.check_problem(problems[0], self.LABELS, "No such file")
        self.check_problem(problems[1], self.RECORDS, "missing")
        self.assertEqual(len(problems), 2)
        self.setUp()
        os.remove(self.path("label/label_multi-label.csv"))
        self.problem("label/label_multi-label.csv", "No such file")
        self.setUp()
        for name in os.listdir(self.path("tfrecords")):
            os.remove(self.path("tfrecords/" + name))
            os.mkdir(self.path("tfrecords/" + name))
        report = self.report("--sets", "6_basic_emo")
        self.assertEqual({os.path.basename(problem["file"])[-9:] for problem in report["list"]}, {"tfrecords"})

    # Damaged label files.

    def change_cell(self, line, column, value):
        lines = self.content(self.LABELS).decode().splitlines()
        cells = lines[line - 1].split(",")
        cells[column] = value
        lines[line - 1] = ",".join(cells)
        self.replace(self.LABELS, "\n".join(lines).encode() + b"\n")

    def test_wrong_cells_are_named_by_line_and_label(self):
        for value in ("2", "x", "", "-1", "\udcff"):
            with self.subTest(value=value):
                self.setUp()
                lines = self.content(self.LABELS).decode().splitlines()
                cells = lines[10].split(",")
                cells[2 + 4] = value
                lines[10] = ",".join(cells)
                self.replace(self.LABELS, "\n".join(lines).encode(errors="surrogateescape"))
                shown = "\\xff" if value == "\udcff" else value
                self.problem(self.LABELS, f"angry is '{shown}'", line=11)

    def test_a_label_that_differs_from_record_and_file_of_all(self):
        old = self.rows("multi-label", "valid")[4][2 + 4]
        self.change_cell(5, 2 + 4, "10"[int(old)])
        problems = self.report("--sets", "multi-label")["list"]
        record, together = problems[0], problems[-1]
        if problems[0]["record"] is None:  # the row's only label was taken: that is said first
            self.assertIn("no label", problems[0]["problem"])
        else:
            self.check_problem(record, self.RECORDS, "angry", "line 5", record=3)
            self.assertIn("label_multi-label.csv", together["file"])
            self.assertIn("in its split", together["problem"])

    def test_ids(self):
        self.change_cell(5, 0, "")
        self.assertIn("an empty id", self.report("--csv-only")["list"][0]["problem"])
        self.setUp()
        rows = self.rows("multi-label", "valid")
        self.change_cell(5, 1, "99_x")
        self.problem(self.LABELS, "is said to be of clip '99_x'", line=5)
        self.setUp()
        self.change_cell(5, 0, rows[5][0])
        self.change_cell(5, 1, rows[5][1])
        said = " ".join(problem["problem"] for problem in self.report("--csv-only")["list"])
        self.assertIn(f"image '{rows[5][0]}' occurs a second time", said)
        self.assertIn(f"image '{rows[4][0]}' is in no split", said)

    def test_tables_that_are_none(self):
        header = self.content(self.LABELS).decode().splitlines()[0]
        for content, words in ((b"", "empty"), (b"img_id\n", "1 columns"), (header.replace("moved", "mowed").encode(), "mowed"),
                               (header.encode() + b"\n1,2,3\n", "line 2"), (b'"', "never closed"), (bytes(range(256)), "line 2")):
            with self.subTest(words=words):
                self.replace(self.LABELS, content)
                problems = self.report("--csv-only", "--sets", "multi-label")["list"]
                self.check_problem(problems[0], self.LABELS, words)
        self.assertLess(len(problems), 5)  # rows of a lost file are not all listed again

    def test_the_file_of_all_misses_and_adds_images(self):
        name = "label/label_multi-label.csv"
        lines = self.content(name).decode().splitlines()
        gone = lines.pop(3).split(",")[0]
        lines.append(lines[1].replace(lines[1].split(",")[1], "77_clip"))
        self.replace(name, "\n".join(lines).encode())
        problems = self.report("--csv-only", "--sets", "multi-label")["list"]
        self.assertIn("77_clip", problems[0]["problem"])
        self.assertEqual(problems[0]["file"], self.path(name))
        self.assertIn(gone, problems[1]["problem"])

    def test_any_flipped_bit_is_noticed(self):
        chance = random.Random(46)
        names = [f"tfrecords/6_basic_emo_valid.{kind}" for kind in ("tfrecords", "idx")]
        names += ["label/label_6_basic_emo_valid.csv", "label/label_6_basic_emo.csv"]
        for round in range(48):
            name = names[round % 4]
            content = self.content(name)
            at, bit = chance.randrange(len(content)), 1 << chance.randrange(8)
            changed = bytearray(content)
            changed[at] ^= bit
            with self.subTest(name=name, at=at, bit=bit):
                self.replace(name, changed)
                problems = self.report("--sets", "6_basic_emo")["list"]
                self.assertGreater(len(problems), 0)
                self.replace(name, content)

    def test_files_cut_anywhere_never_crash(self):
        chance = random.Random(47)
        for name in ("tfrecords/6_basic_emo_valid.tfrecords", "tfrecords/6_basic_emo_valid.idx",
                     "label/label_6_basic_emo_valid.csv"):
            content = self.content(name)
            for _ in range(8):
                self.replace(name, content[:chance.randrange(len(content) - 2)])
                self.report("--sets", "6_basic_emo")
            self.replace(name, content)

    def test_a_sheet_of_damaged_data_shows_what_is_left(self):
        self.flip(self.RECORDS, self.spans(self.INDEX)[0][0] + 30)
        sheet = os.path.join(self.folder.name, "left.png")
        found = inspect(self.data, "--sets", "multi-label", "--contact-sheet", sheet, "--problems", 1)
        self.assertEqual((found.returncode, found.stderr), (3, b""))
        self.assertIn(", record 0: at byte 0: the data's CRC is wrong", found.stdout.decode())
        self.assertGreater(os.path.getsize(sheet), 1000)
        for split in SPLITS:
            self.replace(f"tfrecords/multi-label_{split}.tfrecords", b"")
        found = inspect(self.data, "--sets", "multi-label", "--contact-sheet", sheet)
        self.assertEqual(found.returncode, 2)
        self.assertIn(b"no image can be read", found.stderr)

    # Usage.

    def test_refusals(self):
        for arguments, words in (((), "--data-path is missing"), (("--data-path", self.path("none")), "no folder"),
                                 (("--data-path", self.path("label")), "holds no file of"),
                                 (("--data-path", self.data, "--sets", "7_emo"), "7_emo"),
                                 (("--data-path", self.data, "--sets", ","), "--sets"),
                                 (("--data-path", self.data, "--set", "x"), "did you mean"),
                                 (("--data-path", self.data, "--rows", "0"), "--rows"),
                                 (("--data-path", self.data, "--csv-only", "--contact-sheet", "x.png"), "--contact-sheet"),
                                 (("--data-path", self.data, "--csv-only", "--output-dir", self.path("README.txt")), "cannot create")):
            with self.subTest(arguments=arguments):
                found = run(os.path.join(TOOLS, "inspect_dataset"), *arguments)
                self.assertEqual(found.returncode, 2, found.stderr)
                self.assertIn(words, found.stderr.decode())
                self.assertEqual(found.stderr.count(b"\n"), 1)
        for name in os.listdir(self.path("label")):
            if "22_emo" in name:
                os.remove(self.path("label/" + name))
        for name in os.listdir(self.path("tfrecords")):
            if "22_emo" in name:
                os.remove(self.path("tfrecords/" + name))
        self.assertEqual(sorted(self.report(code=0)["sets"]), ["6_basic_emo", "multi-label"])
        found = inspect(self.data, "--sets", "22_emo")
        self.assertEqual(found.returncode, 2)
        self.assertIn(b"holds no file of 22_emo", found.stderr)


if __name__ == "__main__":
    unittest.main()
