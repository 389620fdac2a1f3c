"""The K-drama models in PyTorch, with kfer's parameter names, as the oracle and the benchmark of the C++
ones.

Dropout is not torch's: a model's forward takes `drop`, a function (layer number, tensor) -> tensor, so that
masks can be given. Flatten is NCHW.
"""

import json
import pathlib
import struct

import torch
import torch.nn as nn
import torch.nn.functional as F


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 32, 3, padding=1)
        self.conv3 = nn.Conv2d(32, 32, 3, padding=1)

    def forward(self, x):
        for conv in (self.conv1, self.conv2, self.conv3):
            x = F.max_pool2d(F.relu(conv(x), inplace=True), 2)
        return x


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.ConvTranspose2d(32, 32, 3, padding=1)
        self.conv2 = nn.ConvTranspose2d(32, 32, 3, padding=1)
        self.conv3 = nn.ConvTranspose2d(32, 32, 3, padding=1)
        self.conv4 = nn.Conv2d(32, 3, 3, padding=1)

    def forward(self, x):
        for conv in (self.conv1, self.conv2, self.conv3):
            x = F.interpolate(F.relu(conv(x), inplace=True), scale_factor=2, mode="nearest")
        return self.conv4(x)


class Autoencoder(nn.Module):
    """Returns the reconstruction's logits; the reconstruction is their sigmoid."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = Encoder(), Decoder()

    def forward(self, x, drop=None):
        return self.decoder(self.encoder(x))


class AutoencoderClassifier(nn.Module):
    def __init__(self, classes=24):
        super().__init__()
        self.autoencoder = Autoencoder()
        self.fc1 = nn.Linear(3 * 64 * 64, classes)
        self.fc2 = nn.Linear(classes, classes)

    def forward(self, x, drop):
        x = self.autoencoder(x).sigmoid().flatten(1)
        return self.fc2(drop(0, F.relu(self.fc1(x))))


class ConvNet(nn.Module):
    def __init__(self, classes=24, kernel=5):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 128, kernel, padding=kernel // 2)
        self.conv2 = nn.Conv2d(128, 64, kernel, padding=kernel // 2)
        self.conv3 = nn.Conv2d(64, 32, kernel, padding=kernel // 2)
        self.fc = nn.Linear(32 * 64 * 64, classes)

    def forward(self, x, drop):
        for layer, conv in enumerate((self.conv1, self.conv2, self.conv3)):
            x = drop(layer, F.relu(conv(x), inplace=True))
        return self.fc(x.flatten(1))


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1. The stride is on the first 1x1 in the first version of ResNet (v1, which Keras has) and
    on the 3x3 in torchvision's (v1.5)."""

    def __init__(self, inputs, width, stride, v1, bias, eps):
        super().__init__()
        outputs = 4 * width
        self.conv1 = nn.Conv2d(inputs, width, 1, stride=stride if v1 else 1, bias=bias)
        self.bn1 = nn.BatchNorm2d(width, eps, 0.01 if v1 else 0.1)
        self.conv2 = nn.Conv2d(width, width, 3, stride=1 if v1 else stride, padding=1, bias=bias)
        self.bn2 = nn.BatchNorm2d(width, eps, 0.01 if v1 else 0.1)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=bias)
        self.bn3 = nn.BatchNorm2d(outputs, eps, 0.01 if v1 else 0.1)
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=bias),
                nn.BatchNorm2d(outputs, eps, 0.01 if v1 else 0.1),
            )
        else:
            self.downsample = None

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.bn3(self.conv3(y))
        y += x if self.downsample is None else self.downsample(x)
        return F.relu(y, inplace=True)


class Backbone(nn.Module):
    """ResNet50 without its head, global average pooling included."""

    def __init__(self, v1=True):
        super().__init__()
        bias, eps = v1, 1.001e-5 if v1 else 1e-5
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=bias)
        self.bn1 = nn.BatchNorm2d(64, eps, 0.01 if v1 else 0.1)
        inputs = 64
        for index, (blocks, width) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512))):
            stage = []
            for block in range(blocks):
                stage.append(Bottleneck(inputs, width, 2 if index and not block else 1, v1, bias, eps))
                inputs = 4 * width
            setattr(self, f"layer{index + 1}", nn.Sequential(*stage))

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x)), inplace=True), 3, stride=2, padding=1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return x.mean((2, 3))


class ResNet50(nn.Module):
    """The transfer model: backbone, Linear(2048, C), Dropout 0.5, Linear(C, C)."""

    def __init__(self, classes=24, v1=True):
        super().__init__()
        self.backbone = Backbone(v1)
        self.fc1 = nn.Linear(2048, classes)
        self.fc2 = nn.Linear(classes, classes)
        self.frozen = []

    def freeze(self):
        """Freezes what the published model freezes, Keras' first 120 layers: everything up to and including
        conv4_block4_3_conv (here layer3.3.conv3). A frozen batch norm stays in inference mode."""
        backbone = self.backbone
        block = backbone.layer3[3]
        self.frozen = [backbone.conv1, backbone.bn1, backbone.layer1, backbone.layer2, *backbone.layer3[:3]]
        self.frozen += [block.conv1, block.bn1, block.conv2, block.bn2, block.conv3]
        for module in self.frozen:
            module.requires_grad_(False)
        return self.train(self.training)

    def train(self, mode=True):
        super().train(mode)
        for module in self.frozen:
            module.eval()
        return self

    def forward(self, x, drop):
        return self.fc2(drop(0, self.fc1(self.backbone(x))))


def save_weights(model, path):
    """Saves a state dictionary as the safetensors package does: floating tensors alone, no metadata."""
    header, data = {}, b""
    for name, tensor in model.state_dict().items():
        if tensor.dtype.is_floating_point:
            content = tensor.detach().to(torch.float32).contiguous().numpy().tobytes()
            offsets = [len(data), len(data) + len(content)]
            header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": offsets}
            data += content
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + data)
