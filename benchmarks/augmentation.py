"""What `edgeae augment` does for a classifier that has few digits.

For each seed, 1000 training digits are chosen and a classifier is trained on them, with and without
variants of them by the command, for as many steps; its accuracy is that on the 10 000 test digits.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from digits import accuracy, digits, trained_classifier
from numpy.typing import NDArray
from PIL import Image


def variants(
    pixels: NDArray[np.uint8], model: str, number: int, spread: float | None, seed: int
) -> NDArray[np.uint8]:
    """Return ``number`` variants of each of (N, 28, 28), all of the first digit first."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in"), Path(folder, "out")
        source.mkdir()
        for k, picture in enumerate(pixels):
            Image.fromarray(picture).save(source / f"{k:05}.png")
        command = [sys.executable, "-m", "edgeae", "augment", str(source), "-o", str(target)]
        command += ["-m", model, "-n", str(number), "--seed", str(seed), "--quiet"]
        if spread is not None:
            command += ["--spread", str(spread)]
        subprocess.run(command, check=True)
        names = [f"{k:05}-{v}.png" for k in range(len(pixels)) for v in range(1, number + 1)]
        return np.stack([np.asarray(Image.open(target / name)) for name in names])


def main() -> None:
    """Print the accuracies and, with ``-o``, write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of the four IDX files of MNIST")
    parser.add_argument("--model", default="vae", help="bundle")
    parser.add_argument("--count", type=int, default=1000, help="training digits")
    parser.add_argument("-n", type=int, default=2, help="variants of each")
    parser.add_argument("--spread", type=float, help="as of `edgeae augment`")
    parser.add_argument("--steps", type=int, default=800, help="of each training, of 64 digits")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("-o", "--out", type=Path, help="JSON")
    args = parser.parse_args()
    torch.set_num_threads(1)

    train, test = digits(args.folder, "train"), digits(args.folder, "t10k")
    rows = []
    for seed in range(1, args.seeds + 1):
        chosen = np.random.default_rng(seed).permutation(len(train[0]))[: args.count]
        pixels, labels = train[0][chosen], train[1][chosen]
        more = variants(pixels, args.model, args.n, args.spread, seed)
        sets = {
            "without": (pixels, labels),
            "with": (
                np.concatenate([pixels, more]),
                np.concatenate([labels, np.repeat(labels, args.n)]),
            ),
        }
        found = {
            name: accuracy(trained_classifier(*some, steps=args.steps, seed=seed), *test)
            for name, some in sets.items()
        }
        change = found["with"] - found["without"]
        rows.append({**found, "change": change})
        print(
            f"seed {seed}: {100 * found['without']:.2f} % without variants, "
            f"{100 * found['with']:.2f} % with, {100 * change:+.2f} points"
        )
    mean = float(np.mean([row["change"] for row in rows]))
    print(f"mean change {100 * mean:+.2f} points")
    if args.out:
        found_all = {"rows": rows, "mean_change": mean, "variants": args.n, "digits": args.count}
        args.out.write_text(json.dumps(found_all, indent=1) + "\n")


if __name__ == "__main__":
    main()
