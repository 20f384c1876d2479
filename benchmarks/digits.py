"""Do samples of a variational autoencoder look like digits? A classifier of real digits judges.

Trains a small convolutional classifier on real digits, then gives the share of pictures that it
labels with a confidence above 0.9: of real test digits, of samples from the prior at several
truncations, and of means of two test digits, which are no digits: what the check makes of a fail.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgeae_export.autoencoder_state import trained_network
from edgeae_export.checkpoint import Checkpoint
from edgeae_export.datasets import load_examples
from edgeae_export.networks.vae import Vae

CONFIDENCE = 0.9
CLASSES = 10


def classifier() -> nn.Sequential:
    """Two convolutions with pooling, two dense layers."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, 128),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(128, CLASSES),
    )


def digits(images: Path, labels: Path) -> tuple[Tensor, Tensor]:
    """Pixels [N, 1, 28, 28] in 0..1 and labels [N] of two IDX files."""
    pixels = load_examples([images], 28, 28, 1)
    numbers = np.frombuffer(labels.read_bytes(), np.uint8, offset=8)
    return torch.tensor(pixels).permute(0, 3, 1, 2) / 255, torch.tensor(numbers).long()


def trained_classifier(pixels: Tensor, labels: Tensor, *, epochs: int, seed: int) -> nn.Module:
    """Train on all of the digits; the learning rate falls to zero."""
    torch.manual_seed(seed)
    network, batch = classifier(), 64
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    steps = epochs * (len(pixels) // batch)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    for _ in range(epochs):
        for chosen in torch.randperm(len(pixels))[: len(pixels) // batch * batch].split(batch):
            loss = nn.functional.cross_entropy(network(pixels[chosen]), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.eval()


def probabilities(network: nn.Module, pixels: Tensor) -> Tensor:
    """Probabilities of the classes [N, 10]."""
    return torch.cat([network(part).softmax(dim=1) for part in pixels.split(500)])


def sampler(checkpoint: Checkpoint[Any], seed: int) -> Callable[[int, float], Tensor]:
    """Return a function that draws N pictures of the prior, its deviation truncated."""
    network = trained_network(checkpoint)
    if not isinstance(network, Vae):
        raise SystemExit(f"a checkpoint of network {checkpoint.recipe.network}, not vae")
    generator = torch.Generator().manual_seed(seed)

    def sample(count: int, truncation: float) -> Tensor:
        z = truncation * torch.randn(count, checkpoint.recipe.latents, 1, 1, generator=generator)
        return torch.cat([network.decoder(part) for part in z.split(500)])

    return sample


def main() -> None:
    """Print the table and, with ``-o``, write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path, help="checkpoint.safetensors of network vae")
    parser.add_argument("folder", type=Path, help="of the four IDX files of MNIST")
    parser.add_argument("-n", type=int, default=2000, help="samples")
    parser.add_argument("--epochs", type=int, default=2, help="of the classifier")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--truncation", type=float, nargs="+", default=[1.0, 0.8])
    parser.add_argument("--grid", type=Path, help="PNG of 10x10 samples at the first truncation")
    parser.add_argument("-o", "--out", type=Path, help="JSON")
    args = parser.parse_args()
    torch.set_num_threads(1)

    train = digits(args.folder / "train-images-idx3-ubyte", args.folder / "train-labels-idx1-ubyte")
    test = digits(args.folder / "t10k-images-idx3-ubyte", args.folder / "t10k-labels-idx1-ubyte")
    judge = trained_classifier(*train, epochs=args.epochs, seed=args.seed)
    sample = sampler(Checkpoint.load(args.checkpoint), args.seed)
    results: dict[str, object] = {}
    with torch.inference_mode():
        correct = probabilities(judge, test[0]).argmax(dim=1) == test[1]
        results["classifier_accuracy"] = round(float(correct.float().mean()), 4)
        print(f"classifier: {100 * correct.float().mean():.2f} % of the test digits right")
        sets = {
            "real test digits": test[0],
            "means of two test digits": (test[0] + test[0].roll(1, 0)) / 2,
        }
        for truncation in args.truncation:
            sets[f"samples, truncation {truncation:g}"] = sample(args.n, truncation)
        for name, pixels in sets.items():
            confidence, label = probabilities(judge, pixels).max(dim=1)
            share = float((confidence > CONFIDENCE).float().mean())
            counts = torch.bincount(label, minlength=CLASSES).tolist()
            results[name] = {"confident_share": round(share, 4), "labels": counts}
            print(f"{name:28} {100 * share:6.2f} % above {CONFIDENCE}, labels {counts}")
    if args.grid:
        write_grid(args.grid, sets[f"samples, truncation {args.truncation[0]:g}"][:100])
    if args.out:
        args.out.write_text(json.dumps(results, indent=1) + "\n")


def write_grid(path: Path, pixels: Tensor) -> None:
    """Write 100 pictures [100, 1, H, W] as one PNG."""
    from PIL import Image

    levels = (pixels * 255).round().to(torch.uint8).view(10, 10, *pixels.shape[2:])
    Image.fromarray(levels.permute(0, 2, 1, 3).reshape(280, 280).numpy()).save(path)


if __name__ == "__main__":
    main()
