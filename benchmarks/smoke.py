"""Five minutes of training from nothing, and whether they come to a stated rate and distortion.

    python benchmarks/smoke.py PHOTOS HELD_OUT

Recipe photo-s from its start as a block transform, two processes of one thread each; compiling,
two to three minutes, is not counted. The photos of the shipped models come to 0.84 bpp at 29.6 dB
on 16 held-out crops. Exit status 1 if the held-out score (the mean over the rate anchors of
log2(bpp + lambda * MSE), lower is better) stays above ``--score``, or if the training fails.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SCORE = 0.56  # 0.520 on two cores with AVX2, on the photos of the shipped models


def train(photos: Path, held_out: Path, minutes: float, processes: int, out: Path) -> None:
    """Train in a folder of its own; ``out`` then has the log."""
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    training = ["edgeae", "train", str(photos), "--val", str(held_out), "--recipe", "photo-s"]
    options = ["--minutes", str(minutes), "--decay", "0.6", "-o", str(out), "--quiet"]
    command = [sys.executable, "-m", *launcher, "-m", *training, *options]
    passive = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    done = subprocess.run(command, check=False, env=os.environ | passive)
    if done.returncode != 0:
        raise SystemExit(f"the training ended with {done.returncode}; see above")


def main() -> None:
    """Train, print the last held-out points, and compare the score."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="training pictures")
    parser.add_argument("held_out", type=Path, help="pictures that are not trained on")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--score", type=float, default=SCORE, help="highest that passes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        train(options.photos, options.held_out, options.minutes, options.processes, out)
        lines = [json.loads(line) for line in (out / "log.jsonl").read_text("utf-8").splitlines()]
    last = [line for line in lines if "validation" in line][-1]
    print("| bpp | PSNR (dB) |\n| --- | --- |")
    for rate, psnr in last["validation"]:
        print(f"| {rate:.3f} | {psnr:.2f} |")
    print(f"{last['step']} steps, score {last['score']:.4f}, at most {options.score:.4f} passes")
    raise SystemExit(last["score"] > options.score)


if __name__ == "__main__":
    main()
