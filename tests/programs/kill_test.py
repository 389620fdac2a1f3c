#!/usr/bin/env python3
"""A training process killed again and again, mostly while it saves: its files are complete at any moment, no more than
one save behind, and the run ends as if nothing had happened.

usage: kill_test.py TINY_TRAINING DISK_FAULTS      environment: KFER_KILLS, how many kills (40)
"""

import os
import random
import subprocess
import sys
import time
import unittest

import tiny_run

PROGRAM, DISK_FAULTS = sys.argv.pop(1), sys.argv.pop(1)
KILLS = int(os.environ.get("KFER_KILLS", "40"))


class Killed(unittest.TestCase):
    def test_kill_at_any_moment(self):
        chance = random.Random(2022)
        reference = tiny_run.Reference(PROGRAM)
        kills = amid_save = runs = ahead = 0
        with tiny_run.scratch() as folder:
            while kills < KILLS:
                directory = os.path.join(folder, f"run{runs}")
                runs += 1
                announced = -1  # steps that some session has said it saved
                while True:
                    ended, told = self.session(directory, chance, kill=kills < KILLS)
                    announced = max(announced, told)
                    if ended:
                        break
                    kills += 1
                    problem, steps = reference.problem(directory, announced)
                    self.assertEqual(problem, "")
                    ahead += steps > announced
                    left = tiny_run.leftovers(directory)
                    self.assertLessEqual(len(left), 1, "leftovers of earlier kills pile up")
                    amid_save += bool(left)
                self.assertEqual(tiny_run.files_of(directory), reference.end)
                self.assertEqual(tiny_run.leftovers(directory), [])
                kinds = {name.split(".")[0] for _, _, names in os.walk(directory) for name in names}
                self.assertEqual(kinds, {"args", "results", "state", "events", "best", "last"})
        print(f"{kills} kills over {runs} runs: {amid_save} left an unfinished save, "
              f"{ahead} came between a save and its announcement")
        self.assertGreater(amid_save, 0, "no kill came amid a save: the test has missed what it is for")

    def session(self, directory, chance, kill):
        """Starts or continues the run, and kills it at a random moment. (whether it ended by itself, steps announced)"""
        # A slow disk, so that most of the time is spent in saves and between their calls.
        slow = {"LD_PRELOAD": DISK_FAULTS, "DISK_FAULTS_UNDER": directory, "DISK_FAULTS": "slow"} if kill else {}
        child = subprocess.Popen([PROGRAM, "--directory", directory, "--workers", str(chance.randrange(3))],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
                                 env=dict(tiny_run.ENVIRONMENT, **slow))
        output = b""
        if kill:
            if chance.random() < 0.9:
                for _ in range(chance.randint(1, 4)):
                    output += child.stdout.readline()
                time.sleep(chance.uniform(0, 0.008))
            else:  # as the program starts
                time.sleep(chance.uniform(0, 0.05))
            child.kill()
        rest, errors = child.communicate()
        self.assertIn(child.returncode, (0, -9), errors)
        lines = (output + rest).split(b"\n")[:-1]
        return child.returncode == 0, max((int(line.split()[1]) for line in lines), default=-1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
