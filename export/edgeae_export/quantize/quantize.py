"""A bundle becomes one that also runs in int8.

    crops -> float graphs -> centre, rescale, ranges, integers -> layers chosen by cost -> check on
    other crops -> int8 graphs, manifest and card of a new folder

The float graphs, the tables and the coding id do not change: files decode in either precision.
"""

from __future__ import annotations

import dataclasses
import shutil
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from edgeae.bundle import CARD, INT8, MANIFEST, QUANTIZED_GRAPHS, Bundle, file_sha256, graph_file
from edgeae.errors import BoundError, BundleError, ImageError, OutputError
from edgeae.images.padding import pad
from edgeae_export.graph_builder import serialized
from edgeae_export.quantize.choose import Candidate, choose
from edgeae_export.quantize.judge import Judge
from edgeae_export.quantize.network import Network
from edgeae_export.quantize.prepare import prepared
from edgeae_export.quantize.report import curve_rows, layer_rows, with_section
from edgeae_export.write_bundle import check_new

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edgeae.manifest import Manifest
    from edgeae_export.quantize.choose import Choice, Show
    from edgeae_export.quantize.observe import Feeds

SIDE = 256  # pixels of a crop
CALIBRATION_QUALITIES = tuple(100 * k / 7 for k in range(8))
SEARCH_QUALITIES = (0.0, 50.0, 100.0)
CHECK_QUALITIES = (0.0, 25.0, 50.0, 75.0, 100.0)
SEARCH_SHARE, CHECK_SHARE = 0.25, 0.25  # of the pictures; the others calibrate
ROW_FEEDS = 4  # crops that the signal-to-noise ratios are measured on
LOSS_DB_OF_BUDGET = 0.15  # at no quality may PSNR fall by more, for each percent of the budget
METHOD = (
    "Cost: change of the logarithm of the rate, plus the loss in dB times the slope of the fp32 "
    "curve, averaged over qualities; to first order the BD-rate."
)


def quantize(
    bundle: Bundle,
    pictures: Sequence[NDArray[np.uint8]],
    out: Path,
    *,
    budget: float,
    seed: int,
    threads: int,
    show: Show,
) -> Manifest:
    """Write the bundle with int8 forms of its encoder and decoder to ``out``.

    Parameters
    ----------
    bundle : Bundle
        In float; its int8 graphs, if any, are made anew.
    pictures : sequence of (H, W, 3) uint8
        Three or more; a crop of each is used, for one purpose only.
    out : Path
        The folder; replaced if it is the bundle's own, else it must not exist.
    budget : float
        What int8 may cost, percent of rate at equal distortion.
    seed, threads : int
        Of crops; inside a graph.
    show : callable
        Told of progress.

    Raises
    ------
    BoundError
        int8 costs more than ``budget``, or 0.15 dB for each percent of it at some quality, or no
        layer can be in int8; nothing is written.
    BundleError
        The bundle is for arrays, or no layer of it has an integer kernel.
    ImageError
        Fewer than three pictures.
    OutputError
        ``out`` exists and is another bundle's.
    """
    in_place = out.resolve() == bundle.path.resolve()
    if not in_place:
        check_new(out)
    crops = _crops(bundle.manifest, pictures, np.random.default_rng(seed))
    first = max(1, round(len(crops) * SEARCH_SHARE))
    second = first + max(1, round(len(crops) * CHECK_SHARE))
    searching, checking, calibrating = crops[:first], crops[first:second], crops[second:]
    judge = Judge(bundle, searching, SEARCH_QUALITIES, threads)
    feeds = _feeds(Judge(bundle, calibrating, CALIBRATION_QUALITIES, threads))
    candidates = _candidates(bundle, feeds, judge)
    choice = choose(candidates, budget, show)
    files = {
        name: serialized(candidate.network(choice.floats[name]).to_model())
        for name, candidate in candidates.items()
        if len(choice.floats[name]) < len(candidate.prepared.layers)
    }
    if not files:
        raise BoundError(
            f"{bundle.path}: no layer can be in int8 within a budget of {budget:g} %; train with "
            f"--quantization-aware, or raise --budget"
        )
    final = Judge(bundle, checking, CHECK_QUALITIES, threads)
    points = final.points(files)
    cost = final.cost_of(points)
    show(f"cost on {len(checking)} other crops: {cost:.3f} %")
    if not cost <= budget:
        raise BoundError(
            f"{bundle.path}: int8 costs {cost:.2f} % of rate, more than the budget of "
            f"{budget:g} %; train with --quantization-aware, give more pictures, or raise --budget"
        )
    losses = [a.psnr - b.psnr for a, b in zip(final.float_points, points, strict=True)]
    if max(losses) > LOSS_DB_OF_BUDGET * budget:
        worst = CHECK_QUALITIES[int(np.argmax(losses))]
        raise BoundError(
            f"{bundle.path}: int8 loses {max(losses):.3f} dB at quality {worst:g}, more than "
            f"{LOSS_DB_OF_BUDGET * budget:g} dB; train with --quantization-aware, or raise --budget"
        )
    report = {
        "cost_percent": round(cost, 4),
        "budget_percent": budget,
        "method": METHOD,
        "seed": seed,
        "calibration_pictures": len(calibrating),
        "search_pictures": len(searching),
        "check_pictures": len(checking),
        "all_int8_percent": {k: round(v, 4) for k, v in choice.all_integer.items()},
        "start_percent": {k: round(v, 4) for k, v in choice.start.items()},
        "chosen_percent": {k: round(v, 4) for k, v in choice.costs.items()},
        "fp32_layers": {k: list(v) for k, v in choice.floats.items()},
        "rate_distortion": curve_rows(CHECK_QUALITIES, final.float_points, points),
        "layers": _rows(candidates, choice, feeds),
    }
    return _write(bundle, out, files, report)


def _candidates(bundle: Bundle, feeds: Mapping[str, Feeds], judge: Judge) -> dict[str, Candidate]:
    candidates = {}
    for name in QUANTIZED_GRAPHS:
        network = Network.from_model(onnx.load_from_string(bundle.read(graph_file(name))))
        ready = prepared(network, feeds[name], _pixels(feeds[name], bundle.manifest))
        if ready.layers:
            candidates[name] = Candidate(ready, partial(_cost_of, judge, name))
    if not candidates:
        raise BundleError(
            f"{bundle.path}: neither encoder nor decoder has a convolution or matrix product with "
            f"stored weights; there is nothing to quantize"
        )
    return candidates


def _cost_of(judge: Judge, name: str, model: bytes) -> float:
    return judge.cost({name: model})


def _rows(
    candidates: Mapping[str, Candidate], choice: Choice, feeds: Mapping[str, Feeds]
) -> list[dict[str, Any]]:
    rows = []
    for name, candidate in candidates.items():
        some = feeds[name][:: max(1, len(feeds[name]) // ROW_FEEDS)]
        rows += layer_rows(name, candidate, choice, some)
    return rows


def _feeds(judge: Judge) -> dict[str, Feeds]:
    """Return the inputs of either graph; of the decoder's, each crop at every third quality."""
    count = len(judge.crops)
    kept = [c for k, c in enumerate(judge.codings) if (k // count + k % count) % 3 == 0]
    return {
        "encoder": [{"pixels": crop[np.newaxis]} for crop in judge.crops],
        "decoder": [{"y_hat": c.y_hat, "quality": c.quality} for c in kept],
    }


def _pixels(feeds: Feeds, manifest: Manifest) -> int:
    total = 0
    for feed in feeds:
        if "pixels" in feed:
            total += feed["pixels"].shape[1] * feed["pixels"].shape[2]
        else:
            height, width = feed["y_hat"].shape[2:]
            total += height * width * manifest.stride**2
    return total


def _crops(
    manifest: Manifest, pictures: Sequence[NDArray[np.uint8]], random: np.random.Generator
) -> list[NDArray[np.uint8]]:
    """Return a crop of each picture, as the encoder takes it, in random order."""
    if manifest.input not in ("rgb", "grey"):
        raise BundleError(f"{manifest.name}: takes {manifest.input}s; only pictures calibrate")
    height, width = manifest.fixed_size or (SIDE, SIDE)
    crops = []
    if len(pictures) < 3:
        raise ImageError(
            f"{len(pictures)} pictures to quantize with; give three at least: one to choose by, "
            "one to check, one to calibrate"
        )
    for number in random.permutation(len(pictures)):
        picture = pictures[int(number)]
        top = random.integers(max(0, picture.shape[0] - height) + 1)
        left = random.integers(max(0, picture.shape[1] - width) + 1)
        crop = picture[top : top + height, left : left + width]
        if manifest.input == "grey":
            crop = np.rint(crop.mean(axis=-1, keepdims=True)).astype(np.uint8)
        missing = (height - crop.shape[0], width - crop.shape[1])
        if manifest.fixed_size and any(missing):
            crop = np.pad(crop, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
        crops.append(np.ascontiguousarray(pad(crop, manifest.multiple)))
    return crops


def _write(
    bundle: Bundle, out: Path, files: Mapping[str, bytes], report: Mapping[str, Any]
) -> Manifest:
    """Write the new bundle beside ``out`` and put it in its place in two renames."""
    partial, old = (out.with_name(f"{out.name}.{part}") for part in ("partial", "old"))
    for leftover in (partial, old):  # of a command that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        shutil.copytree(bundle.path, partial)
        manifest = _write_files(bundle, partial, files, report)
        Bundle.load(partial).verify()
        if out.exists():
            out.rename(old)
        partial.rename(out)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        if old.exists() and not out.exists():
            old.rename(out)
        shutil.rmtree(old, ignore_errors=True)
    return manifest


def _write_files(
    bundle: Bundle, folder: Path, files: Mapping[str, bytes], report: Mapping[str, Any]
) -> Manifest:
    names = set(bundle.manifest.files)
    for name in QUANTIZED_GRAPHS:
        file = graph_file(name, INT8)
        if name in files:
            (folder / file).write_bytes(files[name])
            names.add(file)
        else:
            (folder / file).unlink(missing_ok=True)
            names.discard(file)
    card = folder / CARD
    if card.exists():
        text = with_section(card.read_text(encoding="utf-8"), report)
        card.write_text(text, encoding="utf-8", newline="\n")
    manifest = dataclasses.replace(
        bundle.manifest,
        files={name: file_sha256(folder / name) for name in sorted(names)},
        training={**bundle.manifest.training, "quantization": dict(report)},
    )
    (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8", newline="\n")
    return manifest
