# SPDX-License-Identifier: MIT
"""MSDNet (arXiv 1703.09844) in PyTorch: the benchmarks' peer and the source of the test fixtures.

Parameter and buffer names are those of the engine's checkpoints.
"""
from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Config:
    name: str
    blocks: int
    step_mode: str = "even"  # even | lin_grow
    step: int = 1
    base: int = 1
    init_channels: int = 16
    growth_rate: int = 6
    growth_factors: tuple[int, ...] = (1, 2, 4)
    bottleneck: bool = True
    bottleneck_factors: tuple[int, ...] = (1, 2, 4)
    prune: str = "max"  # max | min
    reduction: float = 0.5  # 0: no transitions
    classes: int = 10
    input_kind: str = "cifar"  # cifar | imagenet
    image_size: int = 32

    def __post_init__(self) -> None:
        for field, allowed in (("step_mode", ("even", "lin_grow")), ("prune", ("max", "min")),
                               ("input_kind", ("cifar", "imagenet"))):
            if getattr(self, field) not in allowed:
                raise ValueError(f"{self.name}: {field} must be one of {allowed}")
        if len(self.bottleneck_factors) != self.scales:
            raise ValueError(f"{self.name}: one bottleneck factor a scale")
        if any(self.growth_rate * f % 2 for f in self.growth_factors[1:]):
            raise ValueError(f"{self.name}: growth_rate * growth_factors[s] must be even for s > 0")
        if self.prune == "min" and self.layers < self.scales - 1:
            raise ValueError(f"{self.name}: prune min needs at least scales - 1 layers")

    @property
    def scales(self) -> int:
        return len(self.growth_factors)

    @property
    def block_layers(self) -> list[int]:
        later = range(1, self.blocks)
        if self.step_mode == "even":
            return [self.base] + [self.step for _ in later]
        return [self.base] + [self.step * i + 1 for i in later]

    @property
    def layers(self) -> int:
        return sum(self.block_layers)

    def layer_scales(self, layer: int) -> tuple[int, int]:
        """Scales that layer (from 1) reads and writes."""
        s, total = self.scales, self.layers
        if self.prune == "min":
            return min(s, total - layer + 2), min(s, total - layer + 1)
        interval = math.ceil(total / s)
        return s - max(0, layer - 2) // interval, s - (layer - 1) // interval

    def has_transition(self, layer: int) -> bool:
        if self.reduction == 0:
            return False
        if self.prune == "min":
            return layer in (self.layers // 3, 2 * self.layers // 3)
        scales_in, scales_out = self.layer_scales(layer)
        return scales_out < scales_in


def conv_bn_relu(c_in: int, c_out: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2, bias=False)
    return [conv, nn.BatchNorm2d(c_out), nn.ReLU(inplace=True)]


class ConvBN(nn.Module):
    def __init__(self, *modules: nn.Module) -> None:
        super().__init__()
        self.net = nn.Sequential(*modules)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


def branch(config: Config, scale_in: int, c_in: int, c_out: int, stride: int) -> ConvBN:
    if not config.bottleneck:
        return ConvBN(*conv_bn_relu(c_in, c_out, 3, stride))
    c_mid = min(c_in, config.bottleneck_factors[scale_in] * c_out)
    return ConvBN(*conv_bn_relu(c_in, c_mid, 1), *conv_bn_relu(c_mid, c_out, 3, stride))


class Stem(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        widths = [config.init_channels * f for f in config.growth_factors]
        if config.input_kind == "cifar":
            first: nn.Module = ConvBN(*conv_bn_relu(3, widths[0], 3))
        else:
            first = nn.Sequential(
                nn.Conv2d(3, widths[0], 7, 2, padding=3),
                nn.BatchNorm2d(widths[0]),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(3, 2, padding=1),
            )
        coarser = [ConvBN(*conv_bn_relu(c, k, 3, 2)) for c, k in zip(widths, widths[1:])]
        self.layers = nn.ModuleList([first, *coarser])

    def forward(self, x: Tensor) -> list[Tensor]:
        scales = []
        for layer in self.layers:
            x = layer(x)
            scales.append(x)
        return scales


class ScaleBranches(nn.Module):
    def __init__(self, config: Config, width: int, scale: int, from_finer: bool) -> None:
        super().__init__()
        factors = config.growth_factors
        k = config.growth_rate * factors[scale] // (2 if from_finer else 1)
        self.conv_down = (
            branch(config, scale - 1, width * factors[scale - 1], k, 2) if from_finer else None
        )
        self.conv_normal = branch(config, scale, width * factors[scale], k, 1)

    def forward(self, own: Tensor, finer: Tensor | None) -> Tensor:
        if self.conv_down is None:
            return torch.cat([own, self.conv_normal(own)], 1)
        return torch.cat([own, self.conv_down(finer), self.conv_normal(own)], 1)


class Layer(nn.Module):
    def __init__(self, config: Config, width: int, scales_in: int, scales_out: int) -> None:
        super().__init__()
        self.dropped = scales_in - scales_out
        self.layers = nn.ModuleList()
        finest_in, finest_out = config.scales - scales_in, config.scales - scales_out
        for scale in range(finest_out, config.scales):
            self.layers.append(ScaleBranches(config, width, scale, scale > finest_in))

    def forward(self, x: list[Tensor]) -> list[Tensor]:
        finer = [None, *x]
        return [
            layer(x[j], finer[j]) for j, layer in enumerate(self.layers, start=self.dropped)
        ]


class Transition(nn.Module):
    def __init__(self, config: Config, width: int, width_out: int, scales: int) -> None:
        super().__init__()
        kept = config.growth_factors[config.scales - scales :]
        self.m = nn.ModuleList(ConvBN(*conv_bn_relu(width * f, width_out * f, 1)) for f in kept)

    def forward(self, x: list[Tensor]) -> list[Tensor]:
        return [m(scale) for m, scale in zip(self.m, x)]


class Classifier(nn.Module):
    def __init__(self, config: Config, c_in: int) -> None:
        super().__init__()
        c = 128 if config.input_kind == "cifar" else c_in
        self.m = nn.Sequential(
            ConvBN(*conv_bn_relu(c_in, c, 3, 2)), ConvBN(*conv_bn_relu(c, c, 3, 2))
        )
        self.linear = nn.Linear(c, config.classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.m(x)
        return self.linear(F.avg_pool2d(x, x.shape[-2:]).flatten(1))


class MSDNet(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.blocks = nn.ModuleList()
        self.classifier = nn.ModuleList()
        width, layer = config.init_channels, 0
        for b, layers in enumerate(config.block_layers):
            modules: list[nn.Module] = [Stem(config)] if b == 0 else []
            for _ in range(layers):
                layer += 1
                scales_in, scales_out = config.layer_scales(layer)
                modules.append(Layer(config, width, scales_in, scales_out))
                width += config.growth_rate
                if config.has_transition(layer):
                    width_out = math.floor(config.reduction * width)
                    modules.append(Transition(config, width, width_out, scales_out))
                    width = width_out
            self.blocks.append(nn.Sequential(*modules))
            self.classifier.append(Classifier(config, width * config.growth_factors[-1]))
        self.apply(_initialise)

    def forward(self, x: Tensor) -> list[Tensor]:
        logits = []
        for block, classifier in zip(self.blocks, self.classifier):
            x = block(x)
            logits.append(classifier(x[-1]))
        return logits


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
        nn.init.normal_(module.weight, 0.0, math.sqrt(2.0 / fan_out))
    elif isinstance(module, nn.Linear):
        bound = 1.0 / math.sqrt(module.in_features)
        nn.init.uniform_(module.weight, -bound, bound)
        nn.init.zeros_(module.bias)


def exits_loss(logits: list[Tensor], labels: Tensor) -> Tensor:
    return torch.stack([F.cross_entropy(x, labels) for x in logits]).sum()


def sgd(model: nn.Module, lr: float, nesterov: bool = True) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr, 0.9, weight_decay=1e-4, nesterov=nesterov)


def train_step(
    model: nn.Module, optimiser: torch.optim.Optimizer, x: Tensor, labels: Tensor
) -> Tensor:
    optimiser.zero_grad()
    loss = exits_loss(model(x), labels)
    loss.backward()
    optimiser.step()
    return loss.detach()


def _imagenet(name: str, step: int) -> Config:
    return Config(name, 5, step=step, base=step, init_channels=32, growth_rate=16,
                  growth_factors=(1, 2, 4, 4), bottleneck_factors=(1, 2, 4, 4), classes=1000,
                  input_kind="imagenet", image_size=224)


PRESETS: dict[str, Config] = {
    "A": Config("cifar10-anytime10", 10, step=2, base=4),
    "C": Config("cifar100-anytime7", 7, step=2, base=4, classes=100),
    "D": Config("cifar100-batch5", 5, "lin_grow", classes=100),
    "E": _imagenet("imagenet-k4", 4),
    "F": _imagenet("imagenet-k7", 7),
    "H": Config("cifar10-tiny", 3, base=2, init_channels=8, growth_rate=4),
    "I": Config("imagenet-tiny", 3, base=2, init_channels=8, growth_rate=4,
                growth_factors=(1, 2, 4, 4), bottleneck_factors=(1, 2, 4, 4), classes=1000,
                input_kind="imagenet", image_size=224),
}

_DTYPES = {"F64": "<f8", "F32": "<f4", "I64": "<i8", "I32": "<i4", "U8": "|u1"}


def load_safetensors(path: str | Path) -> dict[str, np.ndarray]:
    data = Path(path).read_bytes()
    start = 8 + struct.unpack_from("<Q", data)[0]
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    return {
        name: np.frombuffer(
            data[start + t["data_offsets"][0] : start + t["data_offsets"][1]], _DTYPES[t["dtype"]]
        ).reshape(t["shape"])
        for name, t in header.items()
    }


def save_safetensors(path: str | Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Names sorted within falling element size, so that every tensor is aligned."""
    names = {np.dtype(v): k for k, v in _DTYPES.items()}
    arrays = {k: np.asarray(v, order="C") for k, v in tensors.items()}
    header, offset = {}, 0
    ordered = sorted(arrays, key=lambda k: (-arrays[k].itemsize, k))
    for name in ordered:
        a = arrays[name]
        header[name] = {"dtype": names[a.dtype], "shape": list(a.shape),
                        "data_offsets": [offset, offset + a.nbytes]}
        offset += a.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for name in ordered:
            f.write(arrays[name].tobytes())
