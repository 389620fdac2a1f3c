#!/usr/bin/env python3
"""Makes tests/data/models/torchvision.safetensors: the pooled features that torchvision's own resnet18 and resnet50
compute from the formula's weights (tools/make_model_oracles.py: tensor number t of the state_dict, without
num_batches_tracked, is stream t) for two images of 64x64 (seed 1000, stream 0), in inference mode.

Needs torch and torchvision. Run from the repository's root; see tests/data/README.md.
"""

import numpy as np
import torch
import torchvision

import philox
from golden import Golden
from make_model_oracles import SEED_IMAGES, initial_value, state_dict_names

golden = Golden(
    "models/torchvision.safetensors",
    f"features of two 64x64 images by torchvision {torchvision.__version__.split('+')[0]}; "
    "tools/make_torchvision_test_data.py",
)
images = torch.from_numpy(philox.uniform(SEED_IMAGES, 0, (2, 3, 64, 64)))
for name in ("resnet18", "resnet50"):
    features = {}
    for dtype in (torch.float64, torch.float32):
        model = getattr(torchvision.models, name)()
        model.fc = torch.nn.Identity()
        model.load_state_dict(
            {
                key: torch.from_numpy(initial_value(stream, key, tuple(model.state_dict()[key].shape)))
                for stream, key in enumerate(state_dict_names(model))
            }
        )
        with torch.inference_mode():
            features[dtype] = model.to(dtype).eval()(images.to(dtype)).double().numpy()
    exact = features[torch.float64]
    print(f"{name}: features to {np.abs(exact).max():.3g}, mean {np.abs(exact).mean():.3g};",
          f"float32 differs by {np.abs(features[torch.float32] - exact).max():.1e}")
    golden.metadata[f"{name}.state_dict"] = ",".join(state_dict_names(model))
    golden.put(name, exact)
golden.write()
