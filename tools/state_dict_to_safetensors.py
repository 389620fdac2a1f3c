#!/usr/bin/env python3
"""Converts a PyTorch state dictionary (.pt, .pth) to safetensors, which kfer's import_weights and every other reader take
without running code.

    python3 tools/state_dict_to_safetensors.py INPUT.pth OUTPUT.safetensors

Needs torch. Loads with weights_only=True: a file that is more than tensors (a whole pickled model) is refused. A
dictionary wrapped as {"state_dict": ...} or {"model": ...} is unwrapped, and "module." (of DataParallel) is taken off the
names. Tensors keep their types; tensors that share memory are stored each by itself.
"""

import json
import os
import struct
import sys
import tempfile
import warnings

WRAPPERS = ("state_dict", "model_state_dict", "model", "model_ema")


class Refused(Exception):
    pass


def state_dict(loaded, torch):
    """The dictionary of tensors in what torch.load gave."""
    while isinstance(loaded, dict) and not any(isinstance(value, torch.Tensor) for value in loaded.values()):
        inner = next((loaded[key] for key in WRAPPERS if isinstance(loaded.get(key), dict)), None)
        if inner is None:
            break
        loaded = inner
    if not isinstance(loaded, dict) or not loaded:
        raise Refused(f"holds no state dictionary but {type(loaded).__name__}")
    tensors = {}
    for name, value in loaded.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise Refused(f"its entry {name!r} is {type(value).__name__}, expected a tensor")
        while name.startswith("module."):
            name = name[len("module."):]
        if name in tensors:
            raise Refused(f"two tensors are called {name!r} without 'module.'")
        tensors[name] = value
    return tensors


def save(path, tensors, torch):
    """The safetensors format: uint64 length of a JSON header, the header, the tensors' bytes."""
    names = {
        torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
        torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
    }
    header, data, offset = {"__metadata__": {"format": "pt"}}, [], 0
    # Wide elements first, so that each tensor begins at a multiple of its element's size.
    for name, tensor in sorted(tensors.items(), key=lambda item: -item[1].element_size()):
        if tensor.dtype not in names or tensor.layout != torch.strided:
            raise Refused(f"tensor {name!r} is {tensor.dtype}, {tensor.layout}, which safetensors do not hold")
        raw = tensor.detach().cpu().contiguous().flatten()
        raw = bytes(raw.view(torch.uint8).numpy()) if raw.numel() else b""
        header[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape),
                        "data_offsets": [offset, offset + len(raw)]}
        offset += len(raw)
        data.append(raw)
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    # Beside the target, then renamed: a file is there whole or not at all.
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(os.path.abspath(path)), prefix=".saving-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(struct.pack("<Q", len(head)) + head)
            for raw in data:
                file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~umask())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return offset


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def main(arguments):
    if len(arguments) != 2 or arguments[0] in ("-h", "--help"):
        print(__doc__.strip())
        return 0 if arguments[:1] in (["-h"], ["--help"]) else 2
    source, target = arguments
    try:
        import torch
    except ImportError:
        print("state_dict_to_safetensors: PyTorch is not installed: pip install torch", file=sys.stderr)
        return 2
    try:
        warnings.simplefilter("ignore")  # what goes wrong is one line
        try:
            loaded = torch.load(source, map_location="cpu", weights_only=True)
        except OSError:
            raise
        except Exception as error:  # every kind of damage has another exception in torch
            lines = str(error).splitlines() or [type(error).__name__]
            raise Refused(f"torch.load(weights_only=True) refuses it: {lines[0][:200]}") from None
        tensors = state_dict(loaded, torch)
        size = save(target, tensors, torch)
    except Refused as error:
        print(f"state_dict_to_safetensors: '{source}': {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"state_dict_to_safetensors: {error}", file=sys.stderr)
        return 2
    print(f"{target}: {len(tensors)} tensors, {size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
