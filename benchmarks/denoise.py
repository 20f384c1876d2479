"""Denoisers at known noise levels: edgeae, bilateral filter and fast non-local means.

Each picture gets Gaussian noise of a fixed seed, clipped and rounded as in any file. Ours is told
nothing; the filters of scikit-image get the true deviation and the strengths that were best for
their kind on training photos (``--tune`` repeats that search).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.restoration import denoise_bilateral, denoise_nl_means

from edgeae.codec import Codec
from edgeae.inputs import picture_in
from edgeae.metrics import psnr_db
from edgeae_export.corruption import GaussianNoise

Picture = NDArray[np.uint8]
Denoise = Callable[[Picture, float], Picture]

TUNED_SIGMA = 25.0
# "color" and "h" times the true deviation; found by ``--tune`` on crops of training photos.
BILATERAL: Mapping[str, Any] = {"color": 0.5, "spatial": 3}
NON_LOCAL: Mapping[str, Any] = {"h": 0.4, "patch": 5, "distance": 10}


def levels(pixels: NDArray[np.floating]) -> Picture:
    """Grey levels of pixels in 0..1."""
    return np.asarray(np.rint(np.clip(pixels, 0, 1) * 255), np.uint8)


def bilateral(noisy: Picture, sigma: float, *, color: float, spatial: float) -> Picture:
    """Bilateral filter of scikit-image."""
    found = denoise_bilateral(
        noisy / 255, sigma_color=color * sigma / 255, sigma_spatial=spatial, channel_axis=-1
    )
    return levels(found)


def non_local(noisy: Picture, sigma: float, *, h: float, patch: int, distance: int) -> Picture:
    """Fast non-local means of scikit-image."""
    found = denoise_nl_means(
        noisy / 255,
        patch_size=patch,
        patch_distance=distance,
        h=h * sigma / 255,
        sigma=sigma / 255,
        fast_mode=True,
        channel_axis=-1,
    )
    return levels(found)


def ours(model: str, precision: str) -> Denoise:
    """Return the denoiser of a bundle."""
    codec = Codec.load(model, precision=precision, threads=1)

    def denoise(noisy: Picture, sigma: float) -> Picture:
        del sigma
        (restored,) = codec.reconstruct([noisy])
        return picture_in(restored).pixels

    return denoise


def noisy_copy(picture: Picture, sigma: float, index: int) -> Picture:
    """Return the picture with noise of its own, the same in each run."""
    return GaussianNoise(sigma, sigma)(picture, np.random.default_rng((1, index)))


def read(paths: Sequence[Path]) -> list[Picture]:
    """Pictures (H, W, 3)."""
    return [np.asarray(Image.open(path).convert("RGB")) for path in paths]


def mean_psnr(denoise: Denoise, pictures: Sequence[Picture], sigma: float) -> tuple[float, float]:
    """Mean PSNR in dB and CPU seconds a megapixel."""
    scores, started = [], time.process_time()
    for index, picture in enumerate(pictures):
        scores.append(psnr_db(picture, denoise(noisy_copy(picture, sigma, index), sigma)))
    pixels = sum(p.shape[0] * p.shape[1] for p in pictures)
    return float(np.mean(scores)), (time.process_time() - started) / (pixels / 1e6)


def tune(pictures: Sequence[Picture]) -> None:
    """Print the strengths of both filters that are best on crops of ``pictures``."""
    crops = [p[p.shape[0] // 2 :, p.shape[1] // 2 :][:160, :160] for p in pictures]
    grids: dict[str, tuple[Callable[..., Picture], list[dict[str, Any]]]] = {
        "bilateral": (
            bilateral,
            [{"color": c, "spatial": s} for c in (0.25, 0.35, 0.5, 0.7) for s in (1.5, 2, 3)],
        ),
        "non-local means": (
            non_local,
            [
                {"h": h, "patch": p, "distance": d}
                for h in (0.4, 0.6, 0.8, 1.0)
                for p in (3, 5, 7)
                for d in (6, 10)
            ],
        ),
    }
    for name, (function, choices) in grids.items():
        scored = []
        for choice in choices:
            denoise = partial(function, **choice)
            scored.append((mean_psnr(denoise, crops, TUNED_SIGMA)[0], choice))
        for row in sorted(scored, key=lambda r: -r[0])[:3]:
            print(name, *row)


def main() -> None:
    """Print PSNR and time of each denoiser at each noise level."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", type=Path, nargs="+", help="image files, or one folder")
    parser.add_argument("--model", default="denoise-photo", help="bundle of a denoiser")
    parser.add_argument("--precision", nargs="+", default=["fp32", "int8"])
    parser.add_argument("--sigma", type=float, nargs="+", default=[15.0, 25.0, 50.0])
    parser.add_argument("--tune", action="store_true", help="search the filters' strengths only")
    parser.add_argument("-o", "--out", type=Path, help="JSON")
    args = parser.parse_args()
    first = args.pictures[0]
    pictures = read(sorted(first.iterdir()) if first.is_dir() else args.pictures)
    if args.tune:
        tune(pictures)
        return
    denoisers: dict[str, Denoise] = {
        "noisy": lambda noisy, sigma: noisy,
        "bilateral": partial(bilateral, **BILATERAL),
        "non-local means": partial(non_local, **NON_LOCAL),
    }
    for precision in args.precision:
        denoisers[f"edgeae {precision}"] = ours(args.model, precision)
    results: dict[str, dict[str, float]] = {}
    for sigma in args.sigma:
        for name, denoise in denoisers.items():
            psnr, seconds = mean_psnr(denoise, pictures, sigma)
            results.setdefault(name, {})[f"{sigma:g}"] = round(psnr, 3)
            print(f"sigma {sigma:4g}  {name:16} {psnr:6.2f} dB  {seconds:7.2f} s/MP", flush=True)
    if args.out:
        args.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
