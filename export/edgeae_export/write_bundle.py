"""A bundle on disk: graphs, tables, manifest with hashes, and the card that people read."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeae.bundle import (
    CARD,
    MANIFEST,
    PRIOR,
    TABLES,
    coding_id,
    file_sha256,
    graph_file,
    tables_arrays,
)
from edgeae.errors import BoundError, OutputError
from edgeae.graphs import Graph
from edgeae.known_answer import index_sha256
from edgeae.manifest import NAME, KnownAnswer, Manifest
from edgeae_export.archive import write_archive
from edgeae_export.card import card
from edgeae_export.graph_builder import serialized

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from onnx import ModelProto

    from edgeae.bundle import PositionTables
    from edgeae.entropy.tables import ChannelTables, ScaleTables
    from edgeae.mixture import Mixture
    from edgeae_export.checkpoint import Checkpoint
    from edgeae_export.recipe import Recipe

STRIDE, HYPER_STRIDE = 16, 64  # pixels a latent, pixels a hyper-latent
KNOWN_ANSWER_SEED = 1
KNOWN_ANSWER_SIDE = 2  # hyper-latents; with the amplitude beyond the clip, every channel is used


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What a bundle is called."""

    name: str
    description: str
    latent_space: str  # of the training run; encoders and decoders of one space may be exchanged


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """What a bundle computes with."""

    graphs: Mapping[str, ModelProto]
    masks: NDArray[np.bool_]  # (steps, C, 2, 2)
    channel_tables: ChannelTables
    scale_tables: ScaleTables | None  # None for a plain autoencoder
    position_tables: PositionTables | None = None
    mixture: Mixture | None = None  # the prior of a plain autoencoder's latents, if it has one
    halo: int | None = None  # pixels around that the networks see

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the members of tables.npz."""
        return tables_arrays(
            self.masks, self.channel_tables, self.scale_tables, self.position_tables
        )


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Yield a folder to write into, which becomes ``out`` at the end if nothing was raised.

    Raises
    ------
    OutputError
        ``out`` exists, or the machine refuses to write.
    """
    check_new(out)
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)  # of an export that was killed
    try:
        partial.mkdir(parents=True)
        yield partial
        partial.rename(out)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_name(name: str) -> None:
    """Raise BoundError unless a bundle may be called ``name``: before the work."""
    if not NAME.fullmatch(name):
        raise BoundError(
            f"{name!r} cannot be a bundle's name; use at most 64 letters, digits, dots, hyphens "
            "and underscores, a letter or digit first (--name, by default that of the folder)"
        )


def check_new(out: Path) -> None:
    """Raise OutputError if ``out`` exists: before the work, and again at its end."""
    if out.exists():
        raise OutputError(f"{out}: exists; remove it, or choose another folder")


def write_contents(folder: Path, contents: Contents) -> None:
    """Write the graphs, the tables and the prior into ``folder``."""
    for name, model in contents.graphs.items():
        (folder / graph_file(name)).write_bytes(serialized(model))
    write_archive(folder / TABLES, contents.arrays())
    if contents.mixture is not None:
        write_archive(folder / PRIOR, contents.mixture.to_arrays())


def write_manifest(
    folder: Path,
    contents: Contents,
    label: Label,
    checkpoint: Checkpoint[Recipe],
    rate_distortion: Sequence[tuple[float, float, float]],
    bounds: Mapping[str, float],
) -> Manifest:
    """Write the card and the manifest of the graphs and tables in ``folder``."""
    recipe = checkpoint.recipe
    training: dict[str, Any] = {
        **checkpoint.history,
        "steps": checkpoint.progress.step,
        "minutes": round(checkpoint.progress.seconds / 60, 1),
        "megapixels": round(checkpoint.progress.megapixels, 1),
        "recipe": asdict(recipe),
        "bounds": dict(bounds),
    }
    text = card(label.name, label.description, training, rate_distortion)
    (folder / CARD).write_text(text, encoding="utf-8", newline="\n")
    arrays = contents.arrays()
    hyper_decoder = serialized(contents.graphs["hyper_decoder"])
    names = [*map(graph_file, contents.graphs), TABLES, CARD]
    manifest = Manifest(
        name=label.name,
        description=label.description,
        latent_space=label.latent_space,
        input="rgb",
        size=None,
        shape=None,
        latent_size=None,
        stride=STRIDE,
        hyper_stride=HYPER_STRIDE,
        latent_channels=recipe.latent_channels,
        hyper_channels=recipe.hyper_channels,
        latent_step=None,
        prior=None,
        halo=contents.halo,
        correction=True,
        coding_id=coding_id(hyper_decoder, arrays, label.latent_space).hex(),
        files={name: file_sha256(folder / name) for name in names},
        known_answer=known_answer(hyper_decoder, contents.masks, recipe.hyper_channels),
        training=training,
        rate_distortion=tuple(rate_distortion),
    )
    (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8", newline="\n")
    return manifest


def known_answer(
    hyper_decoder: bytes, masks: NDArray[np.bool_], hyper_channels: int
) -> KnownAnswer:
    """Return the input and hash that every machine's hyper-decoder must reproduce."""
    graph = Graph("hyper_decoder", lambda: hyper_decoder)
    shape = (1, hyper_channels, KNOWN_ANSWER_SIDE, KNOWN_ANSWER_SIDE)

    def scale_indexes(
        z: NDArray[np.int16], symbols: NDArray[np.int16], step: int
    ) -> NDArray[np.uint8]:
        _, index = graph.run(z=z, symbols=symbols, step=np.array(step, np.int64))
        indexes: NDArray[np.uint8] = index
        return indexes

    digest = index_sha256(scale_indexes, masks, KNOWN_ANSWER_SEED, shape, HYPER_STRIDE // STRIDE)
    return KnownAnswer(z_seed=KNOWN_ANSWER_SEED, shape=shape, index_sha256=digest)
