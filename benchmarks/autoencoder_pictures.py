"""README's pictures that autoencoders made: samples, a walk between digits, a denoised photo."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgeae.codec import Codec
from edgeae.images.grids import grid
from edgeae.inputs import picture_in
from edgeae.latent_space import interpolate_linear
from edgeae_export.corruption import GaussianNoise
from edgeae_export.datasets import load_examples

ENDS = (32, 110)  # a three and an eight of the test set
STEPS = 12
SAMPLES, SEED = 64, 1
SIGMA = 25.0
CROP = np.s_[30:200, 110:300]  # of the photo
MARGIN = 4


def main() -> None:
    """Write the three of them into a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("digits", type=Path, help="IDX file of MNIST's test digits")
    parser.add_argument("photo", type=Path, help="docs/pictures/cat.png")
    parser.add_argument("--vae", default="vae", help="bundle")
    parser.add_argument("--denoiser", default="denoise-photo", help="bundle")
    parser.add_argument("-o", "--out", type=Path, default=Path("docs/pictures"))
    args = parser.parse_args()
    vae = Codec.load(args.vae, precision="fp32")
    save(grid(list(vae.sample(SAMPLES, seed=SEED)[..., 0])), args.out / "digits-samples.png")
    digits = load_examples([args.digits], 28, 28, 1)
    first, last = vae.embed([digits[k, ..., 0] for k in ENDS])
    walk = vae.generate(interpolate_linear(first, last, STEPS))
    save(grid(list(walk[..., 0]), columns=STEPS), args.out / "digits-walk.png")
    photo = np.asarray(Image.open(args.photo).convert("RGB"))
    noisy = GaussianNoise(SIGMA, SIGMA)(photo, np.random.default_rng(0))
    (restored,) = Codec.load(args.denoiser, precision="fp32").reconstruct([noisy])
    both = [noisy[CROP], picture_in(restored).pixels[CROP]]
    gap = np.full((both[0].shape[0], MARGIN, 3), 255, np.uint8)
    save(np.concatenate([both[0], gap, both[1]], axis=1), args.out / "denoised.png")


def save(pixels: NDArray[np.uint8], path: Path) -> None:
    """Write (H, W) or (H, W, 3)."""
    Image.fromarray(pixels).save(path, optimize=True)


if __name__ == "__main__":
    main()
