"""The run of tiny_training as its tests see it: what its files hold after every step, learnt from a run that nothing
disturbs, and a reader of safetensors that shares nothing with kfer's."""

import json
import os
import struct
import subprocess
import tempfile

FILES = ("state.safetensors", "weights/best.safetensors", "weights/last.safetensors", "results.csv", "args.json")
ENVIRONMENT = dict(os.environ, OMP_NUM_THREADS="1", OMP_WAIT_POLICY="passive")
EPOCHS, BATCHES = 8, 5


def scratch():
    """A directory of its own; in memory where that is possible, for saves sync and a disk takes its time."""
    return tempfile.TemporaryDirectory(prefix="kfer-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)


def _crc_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE = _crc_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def read_safetensors(content):
    """The metadata of a complete file whose checksum is right; ValueError for any other."""
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])
    if max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__") != len(content) - 8 - size:
        raise ValueError("the tensors do not fill the file")
    metadata = header["__metadata__"]
    digits = metadata["kfer.crc32c"].encode()
    at = content.index(digits)
    if int(digits, 16) != crc32c(content[:at] + b"0" * 8 + content[at + 8 :]):
        raise ValueError("the checksum is wrong")
    return metadata


def files_of(directory):
    """The content of the files that make a run, those that there are."""
    found = {}
    for name in FILES:
        try:
            with open(os.path.join(directory, name), "rb") as file:
                found[name] = file.read()
        except FileNotFoundError:
            pass
    return found


def leftovers(directory):
    return [name for _, _, names in os.walk(directory) for name in names if ".saving-" in name]


class Reference:
    """An undisturbed run, looked at after every save: `steps[state]` are the steps that a state file holds, `versions[file]`
    all that the file ever held, `beside[state]` which version each file had reached then, `end` the files at the end."""

    def __init__(self, program, epochs=EPOCHS):
        self.steps, self.beside, self.versions = {}, {}, {name: [] for name in FILES}
        with scratch() as folder:
            directory = os.path.join(folder, "run")
            with subprocess.Popen(
                    [program, "--directory", directory, "--epochs", str(epochs), "--step-by-step"],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env=ENVIRONMENT) as child:
                for line in child.stdout:
                    self._look(directory, int(line.split()[1]))
                    child.stdin.write(b"\n")
            assert child.returncode == 0
            self.end = files_of(directory)
            self._look(directory, epochs * BATCHES)
            assert len(self.steps) == epochs * (BATCHES + 1) + 1 and len(self.end) == len(FILES)
            assert not leftovers(directory)

    def _look(self, directory, step):
        found = files_of(directory)
        self.steps[found["state.safetensors"]] = step
        for name, content in found.items():
            if content not in self.versions[name]:
                self.versions[name].append(content)
        self.beside[found["state.safetensors"]] = {name: self.versions[name].index(found[name]) for name in found}

    def problem(self, directory, announced):
        """What is wrong with the files of a run that was stopped after it had announced so many steps as saved (-1:
        none), and the steps that its state holds; "" if nothing is."""
        found = files_of(directory)
        state = found.get("state.safetensors")
        if state is not None and state not in self.steps:
            return "state.safetensors is of no step", -1
        steps = self.steps.get(state, -1)
        if steps < announced:
            return f"{announced} steps were announced as saved, the state holds {steps}", steps
        for name, content in found.items():
            if content not in self.versions[name]:
                return f"{name} is of no epoch", steps
            if name.endswith(".safetensors"):
                read_safetensors(content)
        # Weights and arguments are saved before the state that goes with them, the table right after; a first state
        # comes before all.
        for name, version in self.beside.get(state, {}).items():
            reached = self.versions[name].index(found[name]) if name in found else -1
            if reached < version - (name == "results.csv" or steps == 0):
                return f"{name} is older than the state of {steps} steps", steps
        return "", steps
