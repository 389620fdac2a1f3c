#!/usr/bin/env python3
"""torchvision's ResNets through kfer and back: state dictionaries of random resnet18 and resnet50, with random running
statistics, are converted, imported, and computed by kfer; what kfer saves loads into torchvision again, strictly.

usage: torchvision_test.py BUILD-DIRECTORY
"""

import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import torch
    import torchvision
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

BUILD = os.path.abspath(sys.argv[1])
TOOLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools")
TOLERANCE = 1e-4
torch.manual_seed(46)
torch.set_num_threads(2)


def run(*command, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=600, **options)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr}"
    return done.stdout


def random_model(name):
    """Weights as they come, running statistics and affine parameters off their first values."""
    model = getattr(torchvision.models, name)()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            module.num_batches_tracked.fill_(7)
            torch.nn.init.uniform_(module.weight, 0.5, 1.0)
            torch.nn.init.uniform_(module.bias, -0.2, 0.2)
    return model.eval()


def read(path):
    """A safetensors file, by the safetensors package where it is installed."""
    try:
        from safetensors.torch import load_file

        return load_file(path)
    except ImportError:
        sys.path.insert(0, TOOLS)
        import golden

        return {name: torch.from_numpy(value.copy()) for name, value in golden.read(path)[0].items()}


def refused(*command, words):
    """One line that says why, code 2."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=600)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, f"{command}: {done.returncode} {done.stderr}"
    assert all(word in done.stderr for word in words), f"{words}: {done.stderr}"


def check_converter():
    """Types and views survive; what is no state dictionary is refused; so are pickles by import_weights."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = f"{folder}/a.pth", f"{folder}/a.safetensors"
        convert = [sys.executable, f"{TOOLS}/state_dict_to_safetensors.py"]
        whole = torch.arange(12.0).reshape(3, 4)
        state = {"view": whole.t(), "row": whole[1], "count": torch.tensor(7), "none": torch.zeros(3, 0)}
        torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}, "epoch": 3}, source)
        run(*convert, source, target)
        back = read(target)
        assert set(back) == set(state) and all(torch.equal(back[key], state[key]) for key in state), back
        more = {"half": whole.half(), "bfloat16": whole.bfloat16(), "double": whole.double(), "mask": whole > 3}
        torch.save(more, source)
        run(*convert, source, target)
        listed = run(f"{BUILD}/tools/import_weights", target, "--list")
        for line in ("half  F16 [3, 4]  min 0, max 11", "bfloat16  BF16 [3, 4]  min 0, max 11", "double  F64", "mask  BOOL"):
            assert line in listed, listed
        os.unlink(target)
        for what, words in (
            (torch.nn.Linear(2, 2), ["weights_only"]), ([whole], ["list"]), ({}, ["no state dictionary"]),
            ({"a": whole, "b": "text"}, ["'b'", "str"]), ({"a": whole, "module.a": whole}, ["two tensors", "'a'"]),
            ({"a": whole.to_sparse()}, ["'a'", "sparse"]),
        ):
            torch.save(what, source)
            refused(*convert, source, target, words=[source, *words])
        refused(*convert, f"{folder}/none.pth", target, words=["none.pth"])
        refused(*convert, __file__, target, words=["weights_only"])
        for new in (True, False):
            torch.save(state, source, _use_new_zipfile_serialization=new)
            refused(f"{BUILD}/tools/import_weights", source, "-o", target, words=["pickle", "state_dict_to_safetensors.py"])
        assert os.listdir(folder) == ["a.pth"], os.listdir(folder)


def check(name, wrap):
    with tempfile.TemporaryDirectory() as folder:
        model = random_model(name)
        torch.save(wrap(model.state_dict()), f"{folder}/model.pth")
        model.fc = torch.nn.Identity()
        images = torch.rand(4, 3, 64, 64)
        with torch.inference_mode():
            features = model(images)
            exact = model.double()(images.double())
            model.float()
        noise = float((features - exact).abs().max())
        run(sys.executable, f"{TOOLS}/state_dict_to_safetensors.py", f"{folder}/model.pth", f"{folder}/model.safetensors")
        report = run(f"{BUILD}/tools/import_weights", f"{folder}/model.safetensors", "-o", f"{folder}/weights.safetensors",
                     "--model", name, "--form", "torchvision")
        assert "fc.weight" in report and "skipped: the classifier" in report, report
        assert "skipped: PyTorch's count of batches" in report, report
        np.savez(f"{folder}/case.npz", x=images.numpy(), y=exact.float().numpy(), tolerance=np.float32(TOLERANCE))
        output = run(f"{BUILD}/tests/kfer_test_models", "--test-case=what other programs compute*",
                     env=dict(os.environ, KFER_PEER_CASE=folder))
        assert "largest difference" in output, output
        line = next(line for line in output.splitlines() if "largest difference" in line)
        print(f"{line} from torchvision in double, of features to {float(exact.abs().max()):.3g};",
              f"torchvision in float differs by {noise:.1e}")

        # Back: the same names and shapes. num_batches_tracked is in no file of kfer's; PyTorch fills it in for
        # dictionaries that do not say what version of BatchNorm wrote them, so that strict loading passes.
        again = getattr(torchvision.models, name)()
        again.fc = torch.nn.Identity()
        again.load_state_dict(read(f"{folder}/saved.safetensors"), strict=True)
        with torch.inference_mode():
            assert torch.equal(again.eval()(images), features), "not the weights that went out"


check_converter()
check("resnet18", lambda state: state)
check("resnet50", lambda state: {"epoch": 3, "model": {f"module.{key}": value for key, value in state.items()}})
