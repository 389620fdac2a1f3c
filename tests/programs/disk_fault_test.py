#!/usr/bin/env python3
"""A training run on a disk that fails: each call that opens, writes, syncs, renames or closes one of its files is refused
in turn. Every time the program must say in one line which file, exit with 2 and leave files that are complete and as new
as it said they are; a run then goes on, on a good disk, as if nothing had happened.

usage: disk_fault_test.py TINY_TRAINING DISK_FAULTS
"""

import os
import shutil
import subprocess
import sys
import unittest

import tiny_run

PROGRAM, DISK_FAULTS = sys.argv.pop(1), sys.argv.pop(1)
EPOCHS = 2
ERRORS = {"ENOSPC": "No space left on device", "EIO": "Input/output error", "EDQUOT": "Disk quota exceeded",
          "EROFS": "Read-only file system"}


class Outcome:
    def __init__(self, directory, faults=None, log=None, epochs=EPOCHS):
        environment = dict(tiny_run.ENVIRONMENT)
        if faults is not None:
            environment.update(LD_PRELOAD=DISK_FAULTS, DISK_FAULTS_UNDER=directory, DISK_FAULTS=faults)
        if log:
            environment["DISK_FAULTS_LOG"] = log
        done = subprocess.run([PROGRAM, "--directory", directory, "--epochs", str(epochs), "--save-every", "2"],
                              capture_output=True, text=True, env=environment, timeout=120)
        self.code, self.errors = done.returncode, done.stderr
        self.reached = max((int(line.split()[1]) for line in done.stdout.splitlines()), default=-1)
        # The state is saved after every second step, and at an epoch's end.
        self.announced = max(self.reached // 2 * 2, self.reached // tiny_run.BATCHES * tiny_run.BATCHES - 1)


class DiskFaults(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.reference = tiny_run.Reference(PROGRAM, EPOCHS)

    def calls(self, log):
        with open(log, encoding="ascii") as file:
            return [line.split(" ", 2)[1:] for line in file.read().splitlines()]

    def refuse_each_call(self, folder, before, least):
        """Runs that begin with the files of `before` (a directory, or none), each with another call refused."""
        directory, log = os.path.join(folder, "run"), os.path.join(folder, "calls")

        def begin():
            shutil.rmtree(directory, ignore_errors=True)
            if before:
                shutil.copytree(before, directory)

        begin()
        self.assertEqual(Outcome(directory, "", log).code, 0)
        calls = self.calls(log)
        self.assertGreater(len(calls), least)
        refused = {}
        for number, (name, path) in enumerate(calls, 1):
            kind = list(ERRORS)[number % len(ERRORS)]
            for on in ("", "+") if number % 5 == 0 else ("",):  # once; or from there on: a full disk stays full
                faults = f"{kind} {number}{on}"
                with self.subTest(faults=faults, call=name, path=path):
                    begin()
                    outcome = Outcome(directory, faults)
                    problem, _ = self.reference.problem(directory, outcome.announced)
                    self.assertEqual(problem, "")
                    self.assertEqual(tiny_run.leftovers(directory), [])
                    lines = outcome.errors.splitlines()
                    self.assertEqual((outcome.code, len(lines)), (2, 1), outcome.errors)
                    refused[name] = refused.get(name, 0) + 1
                    self.assertTrue(lines[0].startswith("tiny_training: "), lines[0])
                    named = path.split(".saving-")[0].split(".tfevents.")[0]  # what follows tells time and process
                    self.assertIn(f"'{named}", lines[0])
                    self.assertIn(ERRORS[kind], lines[0])
                    if number % 6 == 0:
                        again = Outcome(directory)
                        self.assertEqual((again.code, again.errors), (0, ""))
                        self.assertEqual(tiny_run.files_of(directory), self.reference.end)
        print("refused:", ", ".join(f"{count} {name}" for name, count in sorted(refused.items())))
        return refused

    def test_every_call_of_a_new_run(self):
        with tiny_run.scratch() as folder:
            refused = self.refuse_each_call(folder, None, 60)
            self.assertEqual(set(refused), {"open", "mkdir", "write", "fsync", "rename", "close"})

    def test_every_call_of_a_run_that_goes_on(self):
        with tiny_run.scratch() as folder:
            before = os.path.join(folder, "before")
            self.assertEqual(Outcome(before, epochs=1).code, 0)
            refused = self.refuse_each_call(folder, before, 40)
            self.assertIn("pread", refused)

    def test_short_and_interrupted_calls_change_nothing(self):
        for faults in ("short", "EINTR", "slow"):
            with self.subTest(faults=faults), tiny_run.scratch() as folder:
                directory = os.path.join(folder, "run")
                for epochs in (1, EPOCHS):  # the second reads what the first has left
                    outcome = Outcome(directory, faults, epochs=epochs)
                    self.assertEqual((outcome.code, outcome.errors), (0, ""))
                self.assertEqual(tiny_run.files_of(directory), self.reference.end)
                self.assertEqual(tiny_run.leftovers(directory), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
