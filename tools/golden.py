"""Golden files: small safetensors files of tests/data, written and read with NumPy alone.

The format (https://github.com/huggingface/safetensors): uint64 length of the header, little-endian; the
header, JSON, padded with spaces to a multiple of 8; the tensors' raw little-endian data. Tensors are float32
or int64, parameters are strings under "__metadata__". Files are deterministic: the same content gives the
same bytes.
"""

import json
import pathlib

import numpy as np

DATA = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data"
TYPES = {"F32": np.dtype("<f4"), "I64": np.dtype("<i8")}


class Golden:
    """Collects the cases of one file: named tensors `case3/x` and parameters `case3.stride`."""

    def __init__(self, path, description):
        self.path = DATA / path
        self.tensors = {}
        self.metadata = {"description": description}
        self.cases = 0

    def put(self, name, value):
        value = np.asarray(value)
        dtype = TYPES["I64" if value.dtype.kind in "iub" else "F32"]
        if name in self.tensors:
            raise ValueError(f"{self.path}: {name} twice")
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise ValueError(f"{self.path}: {name} has non-finite values")
        self.tensors[name] = value.astype(dtype)

    def case(self, parameters, **tensors):
        """Adds one case. Parameters become strings; tensors that are None are left out."""
        name = f"case{self.cases}"
        self.cases += 1
        for key, value in parameters.items():
            self.metadata[f"{name}.{key}"] = text(value)
        for key, value in tensors.items():
            if value is not None:
                self.put(f"{name}/{key}", value)

    def write(self):
        if self.cases:
            self.metadata["cases"] = str(self.cases)
        header = {"__metadata__": self.metadata}
        offset = 0
        tensors = dict(
            sorted(self.tensors.items(), key=lambda item: -item[1].itemsize)
        )  # keeps int64 aligned
        for name, value in tensors.items():
            kind = next(k for k, dtype in TYPES.items() if dtype == value.dtype)
            header[name] = {
                "dtype": kind,
                "shape": list(value.shape),
                "data_offsets": [offset, offset + value.nbytes],
            }
            offset += value.nbytes
        head = json.dumps(header, separators=(",", ":")).encode()
        head += b" " * (-len(head) % 8)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "wb") as file:
            file.write(len(head).to_bytes(8, "little"))
            file.write(head)
            for value in tensors.values():
                file.write(np.ascontiguousarray(value).tobytes())
        print(f"{self.path.relative_to(DATA)}: {self.cases} cases, {8 + len(head) + offset} bytes")


def text(value):
    """A parameter as a string: 2, 0.5, true, "1,2" for a list."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ",".join(text(v) for v in value)
    if isinstance(value, float):
        return repr(value)
    return str(value)


def read(path):
    """(tensors, metadata) of a safetensors file."""
    data = pathlib.Path(path).read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        raw = data[8 + length + first : 8 + length + last]
        tensors[name] = np.frombuffer(raw, TYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensors, metadata
