"""Do samples of a variational autoencoder look like digits? A classifier of real digits judges.

Trains a small convolutional classifier on real digits, then gives the share of pictures that it
labels with a confidence above 0.9: of real test digits, of samples of a bundle from its own prior
and from N(0, 1), at several truncations, and of means of two test digits, which are no digits: what
the check makes of a fail.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from edgeae.codec import Codec
from edgeae.latent_space import sample_prior, sample_shape
from edgeae_export.datasets import load_examples

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


def digits(folder: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Digits (N, 28, 28) and labels (N,) of MNIST's IDX files; ``part`` is train or t10k."""
    pixels = load_examples([folder / f"{part}-images-idx3-ubyte"], 28, 28, 1)[..., 0]
    labels = (folder / f"{part}-labels-idx1-ubyte").read_bytes()
    return pixels, np.frombuffer(labels, np.uint8, offset=8)


def to_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """Pixels [N, 1, 28, 28] in 0..1 of (N, 28, 28)."""
    return torch.tensor(pixels)[:, None] / 255


def trained_classifier(
    pixels: NDArray[np.uint8], labels: NDArray[np.uint8], *, steps: int, seed: int
) -> nn.Module:
    """Train for so many steps of 64; the learning rate falls to zero."""
    torch.manual_seed(seed)
    network, batch = classifier(), 64
    inputs, targets = to_tensor(pixels), torch.tensor(labels).long()
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    order = torch.empty(0, dtype=torch.int64)
    for _ in range(steps):
        if len(order) < batch:
            order = torch.randperm(len(inputs))
        chosen, order = order[:batch], order[batch:]
        loss = nn.functional.cross_entropy(network(inputs[chosen]), targets[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


@torch.inference_mode()
def probabilities(network: nn.Module, pixels: NDArray[np.uint8]) -> Tensor:
    """Probabilities of the classes [N, 10] for pixels (N, 28, 28)."""
    return torch.cat([network(part).softmax(dim=1) for part in to_tensor(pixels).split(500)])


def accuracy(network: nn.Module, pixels: NDArray[np.uint8], labels: NDArray[np.uint8]) -> float:
    """Share of labels that are right."""
    found = probabilities(network, pixels).argmax(dim=1).numpy()
    return float((found == labels).mean())


def samples(
    codec: Codec, count: int, seed: int, truncations: list[float]
) -> dict[str, NDArray[np.uint8]]:
    """Pictures (count, 28, 28) from the bundle's prior, and from N(0, 1)."""
    prior = codec.bundle.manifest.prior
    shape = sample_shape(codec.bundle.manifest)
    found: dict[str, NDArray[np.uint8]] = {}
    for truncation in truncations:
        own = codec.sample(count, seed=seed, truncation=truncation)
        normal = codec.generate(sample_prior(count, shape, seed=seed, truncation=truncation))
        found[f"samples of N(0, 1), truncation {truncation:g}"] = normal[..., 0]
        found[f"samples of its {prior}, truncation {truncation:g}"] = own[..., 0]
    return found


def main() -> None:
    """Print the table and, with ``-o``, write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of the four IDX files of MNIST")
    parser.add_argument("--model", default="vae", help="bundle of a variational autoencoder")
    parser.add_argument("-n", type=int, default=2000, help="samples")
    parser.add_argument("--steps", type=int, default=1875, help="of the classifier: two epochs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--truncation", type=float, nargs="+", default=[1.0, 0.8])
    parser.add_argument("--grid", type=Path, help="PNG of 10x10 samples at the first truncation")
    parser.add_argument("-o", "--out", type=Path, help="JSON")
    args = parser.parse_args()
    torch.set_num_threads(1)

    train, test = digits(args.folder, "train"), digits(args.folder, "t10k")
    judge = trained_classifier(*train, steps=args.steps, seed=args.seed)
    right = accuracy(judge, *test)
    print(f"classifier: {100 * right:.2f} % of the test digits right")
    results: dict[str, object] = {"classifier_accuracy": round(right, 4)}
    means = (test[0].astype(np.uint16) + np.roll(test[0], 1, axis=0)) // 2
    codec = Codec.load(args.model, precision="fp32", threads=1)
    sets = {
        "real test digits": test[0],
        "means of two test digits": means.astype(np.uint8),
        **samples(codec, args.n, args.seed, args.truncation),
    }
    for name, pixels in sets.items():
        confidence, label = probabilities(judge, pixels).max(dim=1)
        share = float((confidence > CONFIDENCE).float().mean())
        counts = torch.bincount(label, minlength=CLASSES).tolist()
        results[name] = {"confident_share": round(share, 4), "labels": counts}
        print(f"{name:38} {100 * share:6.2f} % above {CONFIDENCE}, labels {counts}")
    if args.grid:
        own = codec.sample(100, seed=args.seed, truncation=args.truncation[0])[..., 0]
        rows = own.reshape(10, 10, *own.shape[1:]).swapaxes(1, 2)
        Image.fromarray(rows.reshape(10 * own.shape[1], -1)).save(args.grid)
    if args.out:
        args.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
