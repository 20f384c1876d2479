"""A checkpoint becomes a bundle.

    weights -> graphs -> proof of the integer bound, check of the halo -> tables from histograms ->
    parity with the networks -> files -> rate and distortion of the finished product -> manifest
    and card

A folder appears under its name only when everything has passed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgeae.bundle import coding_id
from edgeae.errors import BoundError, BundleError
from edgeae_export.card import ENTROPY_OF, LATENT_SPACE, identity
from edgeae_export.freeze import freeze_channel_tables, freeze_scale_tables
from edgeae_export.graph_builder import serialized
from edgeae_export.halo import check_halo, photo_halo
from edgeae_export.histograms import count_symbols, product_rounding
from edgeae_export.integer_bound import prove_integer_bound
from edgeae_export.known_file import add_known_file
from edgeae_export.measure import rate_distortion
from edgeae_export.networks.photo import PhotoCodec
from edgeae_export.parity import check_parity, half_precision_loss
from edgeae_export.photo_graphs import photo_graphs
from edgeae_export.rate_distortion import PhotoModel
from edgeae_export.read_weights import weights_of
from edgeae_export.write_bundle import (
    Contents,
    check_name,
    check_new,
    new_folder,
    write_contents,
    write_manifest,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edgeae.bundle import Bundle
    from edgeae.entropy.tables import ChannelTables, ScaleTables
    from edgeae.manifest import Manifest
    from edgeae_export.checkpoint import Checkpoint
    from edgeae_export.recipe import Recipe
    from edgeae_export.write_bundle import Label

TABLE_QUALITIES = tuple(100 * k / 7 for k in range(8))  # of the histograms; every anchor counts


def export(
    checkpoint: Checkpoint[Recipe],
    pictures: Sequence[NDArray[np.uint8]],
    held_out: Sequence[NDArray[np.uint8]],
    out: Path,
    label: Label,
    *,
    entropy_of: Bundle | None = None,
) -> Manifest:
    """Write the bundle of a checkpoint's weight average into the new folder ``out``.

    Parameters
    ----------
    checkpoint : Checkpoint
        Of a training run.
    pictures : sequence of (H, W, 3) uint8
        Of the training data; the tables are fitted to them.
    held_out : sequence of (H, W, 3) uint8
        For the parity and the table of rates and distortions.
    out : Path
        Does not exist yet; its name is the bundle's, if it is to be found by name.
    label : Label
        Names.
    entropy_of : Bundle, optional
        Whose tables are kept in place of fitted ones. If ``label`` has its latent space as well,
        each of the two decodes the files of the other.

    Raises
    ------
    OutputError
        ``out`` exists.
    BundleError
        The checkpoint's tensors do not fit its recipe.
    BoundError
        The name is none, a partial sum of the scale path may reach 2**24, a network sees farther
        than the halo, a graph departs from its network, or the hyper-decoder is not that of
        ``entropy_of``.
    """
    check_new(out)
    check_name(label.name)
    trained, model = averaged_model(checkpoint), averaged_model(checkpoint)
    graphs = photo_graphs(trained.codec)
    sums = prove_integer_bound(graphs["hyper_decoder"])
    halo = photo_halo(trained.codec.shape)
    check_halo(graphs, halo, trained.codec.shape.steps)
    model.codec.load_state_dict(weights_of(graphs, model.codec))  # rounded as they are exported
    differences = check_parity(graphs, model.codec, held_out)
    bounds = {f"{name}, largest difference": value for name, value in differences.items()}
    bounds |= half_precision_loss(trained, model, held_out)
    layer = max(sums, key=lambda name: sums[name])
    bounds[f"{layer}, largest sum (below 2**24)"] = float(sums[layer])
    channel_tables, scale_tables = (
        fitted_tables(model, pictures) if entropy_of is None else tables_of(entropy_of)
    )
    contents = Contents(
        graphs=graphs,
        masks=model.codec.masks.numpy(),
        channel_tables=channel_tables,
        scale_tables=scale_tables,
        halo=halo,
    )
    if entropy_of is not None:
        check_same_entropy(contents, entropy_of)
        history = checkpoint.history | {ENTROPY_OF: identity(entropy_of.manifest)}
        if label.latent_space != entropy_of.manifest.latent_space:
            history |= {LATENT_SPACE: label.latent_space}
        checkpoint = replace(checkpoint, history=history)
    with new_folder(out) as folder:
        write_contents(folder, contents)
        write_manifest(folder, contents, label, checkpoint, (), bounds)
        points = rate_distortion(folder, held_out)
        write_manifest(folder, contents, label, checkpoint, points, bounds)
        return add_known_file(folder)


def fitted_tables(
    model: PhotoModel, pictures: Sequence[NDArray[np.uint8]]
) -> tuple[ChannelTables, ScaleTables]:
    """Return tables of z and y for the histograms of what the product will send of ``pictures``."""
    first = freeze_scale_tables(count_symbols(model.codec, pictures, TABLE_QUALITIES))
    rounding = product_rounding(first)  # what the encoder sends depends on the tables
    histograms = count_symbols(model.codec, pictures, TABLE_QUALITIES, rounding)
    return freeze_channel_tables(histograms, model.prior), freeze_scale_tables(histograms)


def tables_of(bundle: Bundle) -> tuple[ChannelTables, ScaleTables]:
    """Return the tables of a photo codec; BundleError if it is a plain autoencoder."""
    if bundle.scale_tables is None:
        raise BundleError(f"{bundle.path}: a plain autoencoder has no entropy model to keep")
    return bundle.channel_tables, bundle.scale_tables


def check_same_entropy(contents: Contents, bundle: Bundle) -> None:
    """Raise BoundError unless these contents code symbols as ``bundle`` does."""
    hyper_decoder = serialized(contents.graphs["hyper_decoder"])
    space = bundle.manifest.latent_space
    if coding_id(hyper_decoder, contents.arrays(), space) != bundle.coding_id:
        raise BoundError(
            f"the checkpoint's hyper-decoder or masks are not those of {bundle.path}; train with "
            f"--freeze-entropy from that bundle, or leave out --entropy-of"
        )


def averaged_model(checkpoint: Checkpoint[Recipe]) -> PhotoModel:
    """Return the model with the weight average of ``checkpoint``; BundleError if it misses any."""
    model = PhotoModel(PhotoCodec(checkpoint.recipe.shape))
    try:
        model.load_state_dict(checkpoint.group("average"))
    except RuntimeError as error:
        text = " ".join(str(error).split())
        raise BundleError(f"checkpoint of {checkpoint.recipe.name}: {text}") from error
    return model.eval().requires_grad_(requires_grad=False).to(torch.float32)
