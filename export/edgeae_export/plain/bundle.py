"""A plain autoencoder becomes a bundle.

    networks -> sizes -> step of each channel -> graphs -> parity -> tables from real symbols ->
    files -> rate and distortion of the finished product -> manifest and card

A folder appears under its name only when everything has passed.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import edgeae
from edgeae.bundle import CARD, FP32, MANIFEST, PRIOR, TABLES, coding_id, file_sha256, graph_file
from edgeae.codec import Codec
from edgeae.errors import BoundError
from edgeae.evaluation.compare import LOSSLESS_DB
from edgeae.manifest import MIXTURE, Manifest
from edgeae.metrics import bits_per_pixel, psnr_db
from edgeae.rounding import nearest
from edgeae_export.graph_builder import serialized
from edgeae_export.known_file import add_known_file
from edgeae_export.plain.card import plain_card
from edgeae_export.plain.graphs import plain_graphs
from edgeae_export.plain.halo import measure_halo
from edgeae_export.plain.inputs import batches, check_inputs, counted, measured, standard
from edgeae_export.plain.parity import PlainGraphs, check_parity, unit
from edgeae_export.plain.quantizer import latent_steps
from edgeae_export.plain.tables import channel_tables, position_tables
from edgeae_export.write_bundle import Contents, check_name, check_new, new_folder, write_contents

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edgeae.manifest import Json
    from edgeae.mixture import Mixture
    from edgeae_export.plain.geometry import Geometry
    from edgeae_export.plain.inputs import Inputs
    from edgeae_export.plain.pair import Floats, GraphPair, Pair

QUALITY = 50.0  # what files of a bundle with one quality say
SYMBOL_LIMIT = 32_000  # of channel tables


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What is said of a bundle and not measured."""

    name: str
    description: str
    latent_space: str | None  # None: named after the encoder's weights
    prior: str | None  # "normal" or "mixture": what can be sampled
    training: Mapping[str, Json]


def write_plain_bundle(
    pair: Pair,
    graph_pair: GraphPair,
    geometry: Geometry,
    inputs: Inputs,
    out: Path,
    description: Description,
) -> Manifest:
    """Write a bundle into the new folder ``out`` and return its manifest.

    Parameters
    ----------
    pair : Pair
        The networks, as the judge of the graphs.
    graph_pair : GraphPair
        The same as graphs.
    geometry : Geometry
        Their sizes.
    inputs : Inputs
        Real ones.
    out : Path
        Does not exist yet.
    description : Description
        Names and provenance.

    Raises
    ------
    OutputError
        ``out`` exists.
    ImageError
        An input is not of the right kind or size.
    BoundError
        The name is none, a mixture is asked for latents of any size, or a graph departs from its
        network.
    """
    check_new(out)
    check_name(description.name)
    if description.prior == MIXTURE and geometry.any_size:
        raise BoundError(
            f"{description.name}: takes {geometry.takes}, and a mixture describes latents of one "
            "size; choose another prior"
        )
    check_inputs(inputs.fitted, geometry)
    check_inputs(inputs.held_out, geometry)
    made = _make(pair, graph_pair, geometry, inputs, description)
    with new_folder(out) as folder:
        write_contents(folder, made.contents)
        _write_manifest(folder, made, description, ())
        points = _rate_distortion(folder, measured(inputs.held_out, geometry))
        _write_manifest(folder, made, description, points)
        return add_known_file(folder)


@dataclass(frozen=True, slots=True, eq=False)
class _Made:
    """A bundle before it is written."""

    contents: Contents
    geometry: Geometry
    step: NDArray[np.float32]
    halo: int | None
    training: Mapping[str, Json]


def _make(
    pair: Pair,
    graph_pair: GraphPair,
    geometry: Geometry,
    inputs: Inputs,
    description: Description,
) -> _Made:
    sample = [unit(batch) for batch in batches(measured(inputs.fitted, geometry), geometry)]
    step, error, rounded_error = latent_steps(pair, sample)
    models = plain_graphs(graph_pair, geometry, step)
    graphs = PlainGraphs(models, geometry)
    seen = list(batches(measured(inputs.held_out, geometry), geometry))
    differences = check_parity(pair, graphs, geometry, step, seen)
    fitted = counted(inputs.fitted)
    latents = [graphs.encode(batch) for batch in batches(fitted, geometry)]
    symbols = [nearest(y, SYMBOL_LIMIT) for y in latents]
    channels = geometry.latents[0]
    tables = channel_tables(symbols, channels)
    others = [nearest(graphs.encode(batch), SYMBOL_LIMIT) for batch in seen]
    contents = Contents(
        graphs=models,
        masks=np.zeros((0, channels, 2, 2), np.bool_),
        channel_tables=tables,
        scale_tables=None,
        position_tables=position_tables(symbols, tables, others),
        mixture=_mixture(latents, step) if description.prior == MIXTURE else None,
    )
    checked: dict[str, Json] = {
        f"{name}, largest difference": float(f"{value:.3g}") for name, value in differences.items()
    }
    checked |= {
        "mean squared error": float(f"{error:.5g}"),
        "mean squared error with rounded latents": float(f"{rounded_error:.5g}"),
    }
    training: dict[str, Json] = {
        **description.training,
        "inputs of the tables": len(fitted),
        "inputs held out": len(inputs.held_out),
        "torch": str(torch.__version__),
        "edgeae": edgeae.__version__,
        "checked": checked,
    }
    return _Made(contents, geometry, step, measure_halo(pair, geometry), training)


def _write_manifest(
    folder: Path,
    made: _Made,
    description: Description,
    points: tuple[tuple[float, float, float], ...],
) -> Manifest:
    geometry, contents = made.geometry, made.contents
    text = plain_card(description.name, description.description, geometry, made.training, points)
    (folder / CARD).write_text(text, encoding="utf-8", newline="\n")
    arrays = contents.arrays()
    latent_space = description.latent_space or _latent_space(description.name, contents)
    names = [*map(graph_file, contents.graphs), TABLES, CARD]
    if contents.mixture is not None:
        names.append(PRIOR)
    channels, h, w = geometry.latents
    is_array = geometry.input == "array"
    fixed = not geometry.any_size
    manifest = Manifest(
        name=description.name,
        description=description.description,
        latent_space=latent_space,
        input=geometry.input,
        size=geometry.shape[:2] if fixed and not is_array else None,  # type: ignore[arg-type]  # two of three
        shape=geometry.shape if is_array else None,
        latent_size=(h, w) if fixed else None,
        stride=geometry.stride,
        hyper_stride=0,
        latent_channels=channels,
        hyper_channels=0,
        latent_step=tuple(float(step) for step in made.step),
        prior=description.prior,
        halo=made.halo,
        coding_id=coding_id(b"", arrays, latent_space).hex(),
        files={name: file_sha256(folder / name) for name in names},
        known_answer=None,
        training=made.training,
        rate_distortion=points,
    )
    (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8", newline="\n")
    return manifest


def _mixture(latents: Sequence[Floats], step: NDArray[np.float32]) -> Mixture:
    from edgeae_export.plain.mixture_fit import fit_mixture

    units = np.concatenate(latents) * step.reshape(-1, 1, 1)
    return fit_mixture(units.reshape(len(units), -1))


def _latent_space(name: str, contents: Contents) -> str:
    digest = hashlib.sha256(serialized(contents.graphs["encoder"])).hexdigest()
    return f"{name}-{digest[:12]}"


def _rate_distortion(
    folder: Path, items: Sequence[NDArray[Any]]
) -> tuple[tuple[float, float, float], ...]:
    """Return the one point of a plain bundle: quality, bits per value, PSNR or SNR in dB."""
    codec = Codec.load(folder, precision=FP32, threads=1)
    rates, decibels = [], []
    for item in map(standard, items):
        data = codec.compress(item, QUALITY)
        decoded = codec.decompress(data)
        if item.dtype == np.uint8:
            rates.append(bits_per_pixel(len(data), *item.shape[:2]))
            decibels.append(min(psnr_db(item.reshape(decoded.shape), decoded), LOSSLESS_DB))
        else:
            rates.append(8 * len(data) / item.size)
            decibels.append(_snr_db(item, decoded))
    count = len(rates)
    point = (QUALITY, round(math.fsum(rates) / count, 5), round(math.fsum(decibels) / count, 3))
    return (point,)


def _snr_db(expected: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    error = float(np.square(found.astype(np.float64) - expected).mean())
    power = float(np.square(expected.astype(np.float64)).mean())
    return min(10 * math.log10(max(power, 1e-30) / max(error, 1e-30)), LOSSLESS_DB)
