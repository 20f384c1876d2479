"""Figures of a trained autoencoder and of its bundle on a whole test set.

    python benchmarks/autoencoders.py CHECKPOINT BUNDLE TEST

TEST is an IDX file such as MNIST's. Printed are what training minimizes, of the weight average in
torch (negative ELBO with grey levels as probabilities, and with pixels drawn from them); how far
the float graphs are from torch; and the mean squared error of pixels in 0..1, with latents as they
are and as a file holds them, in every precision that the bundle has.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgeae.bundle import Bundle, find_bundle
from edgeae.codec import Codec
from edgeae.inputs import picture_in
from edgeae_export.autoencoder_state import trained_network
from edgeae_export.checkpoint import Checkpoint
from edgeae_export.tasks import TASKS

WHITE = 255


def differences(network: Any, codec: Codec, pictures: NDArray[np.uint8]) -> dict[str, float]:
    """Largest difference of latents, and of pixels beyond their rounding to whole levels, 0..1."""
    latents = np.stack(list(codec.embed(pictures)))
    decoded = codec.generate(latents)
    y_off, pixel_off = 0.0, 0.0
    for k in range(0, len(pictures), 500):
        part = slice(k, k + 500)
        pixels = torch.tensor(pictures[part])[:, None] / WHITE
        found = network.encoder(pixels)
        mean = found[0] if isinstance(found, tuple) else found
        y_off = max(y_off, float(np.abs(mean.numpy() - latents[part]).max()))
        expected = network.decoder(torch.from_numpy(latents[part]))[:, 0].numpy()
        levels = np.abs(WHITE * expected.astype(np.float64).clip(0, 1) - decoded[part, ..., 0])
        pixel_off = max(pixel_off, max(0.0, float(levels.max()) - 0.5) / WHITE)
    return {"latents": y_off, "pixels": pixel_off}


def errors(codec: Codec, pictures: NDArray[np.uint8]) -> dict[str, float]:
    """Mean squared errors, and bytes of a file."""
    restored = np.stack([picture_in(found).pixels for found in codec.reconstruct(pictures)])
    files = list(codec.compress_many(pictures))
    decoded = np.stack(list(codec.decompress_many(files)))
    return {
        "mse": _mse(restored, pictures),
        "mse_of_files": _mse(decoded, pictures),
        "bytes": float(np.mean([len(data) for data in files])),
    }


def _mse(found: NDArray[np.uint8], pictures: NDArray[np.uint8]) -> float:
    return float(np.square(found.astype(np.float64) - pictures).mean() / WHITE**2)


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("bundle")
    parser.add_argument("test", type=Path, nargs="+")
    args = parser.parse_args()
    torch.set_num_threads(1)
    checkpoint: Checkpoint[Any] = Checkpoint.load(args.checkpoint)
    recipe, task = checkpoint.recipe, TASKS[checkpoint.recipe.network]
    held_out = task.held_out(args.test, recipe)
    pictures = np.concatenate(list(held_out))[..., 0]
    network = trained_network(checkpoint)
    precisions = Bundle.load(find_bundle(args.bundle)).precisions
    codecs = {p: Codec.load(args.bundle, precision=p, threads=1) for p in precisions}
    with torch.inference_mode():
        figures = task.figures(network, recipe, held_out)
        off = differences(network, codecs["fp32"], pictures)
    found = {precision: errors(codec, pictures) for precision, codec in codecs.items()}
    result: dict[str, object] = {"pictures": len(pictures), "torch": figures, "off": off, **found}
    if "int8" in found:
        ratio = found["int8"]["mse"] / found["fp32"]["mse"]
        result["int8 raises the error by %"] = 100 * (ratio - 1)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
