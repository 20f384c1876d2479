"""The commands ``edgeae train`` and ``edgeae export``; torch is imported inside them only."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeae.errors import BoundError, BundleError, OutputError
from edgeae_export.extra import export_command, export_extra

if TYPE_CHECKING:
    from edgeae_export.checkpoint import Checkpoint
    from edgeae_export.recipe_table import AnyRecipe


def train(
    data: Annotated[
        list[Path],
        typer.Argument(
            help="Training pictures: folders, .tar shards, files; for autoencoders also .npy, "
            ".npz and IDX (MNIST's) files."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for checkpoint and log.")],
    validation: Annotated[
        list[Path], typer.Option("--val", help="Held-out pictures; may be given several times.")
    ],
    recipe: Annotated[
        str,
        typer.Option(
            help="A recipe of the package (photo-s, photo-m, photo-l, photo-vivid, conv-ae, vae, "
            "vae-color, denoise, denoise-photo) or a .toml file."
        ),
    ] = "photo-m",
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            help="Training time in all, earlier parts included; 60 for photo codecs, else as long "
            "as the epochs take.",
        ),
    ] = None,
    epochs: Annotated[
        float | None,
        typer.Option(min=0.001, help="How often to see each example; by default the recipe's."),
    ] = None,
    decay: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Share of the time with falling learning rate."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint in --out, if there is one.")
    ] = False,
    init: Annotated[
        str | None,
        typer.Option(
            help="Start from this checkpoint, or from a photo codec's bundle, a name or a folder."
        ),
    ] = None,
    quantization_aware: Annotated[
        bool,
        typer.Option(
            "--quantization-aware",
            help="Train the transforms as edgeae quantize will round them; with --init.",
        ),
    ] = False,
    freeze_entropy: Annotated[
        bool,
        typer.Option(
            "--freeze-entropy",
            help="Train encoder and decoder only: gain and hyper networks stay as they are.",
        ),
    ] = False,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    checkpoint_minutes: Annotated[
        float, typer.Option(min=0.01, help="Minutes between checkpoints: what a kill can cost.")
    ] = 5.0,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Train a photo codec or an autoencoder on pictures of your own.

    Example: edgeae train photos/ --val held-out/ -o runs/m --minutes 600
    """
    with export_extra():
        from edgeae_export.budget import Budget, choose_device
        from edgeae_export.loops import LOOPS
        from edgeae_export.processes import Processes
        from edgeae_export.progress import progress_bar
        from edgeae_export.recipe_table import load_recipe

        chosen = _with(_with(load_recipe(recipe), "decay", decay), "epochs", epochs)
        loop = LOOPS[chosen.network]
        path = out / "checkpoint.safetensors"
        if path.exists() and not resume:
            raise OutputError(f"{path}: exists; go on from it with --resume, or choose another -o")
        with Processes.join() as processes:
            budget = Budget(
                out=out,
                minutes=loop.minutes if minutes is None else minutes,
                checkpoint_minutes=checkpoint_minutes,
                threads=threads,
                device=choose_device(device),
                processes=processes,
            )
            hidden = quiet or processes.rank > 0 or not sys.stderr.isatty()
            with progress_bar(hidden=hidden) as show:
                loop.train(
                    chosen,
                    data,
                    validation,
                    budget,
                    init=_starting_weights(init, chosen) if init else None,
                    resume=resume,
                    show=show,
                    **_tuning(
                        chosen, quantization_aware=quantization_aware, freeze_entropy=freeze_entropy
                    ),
                )
        if processes.rank == 0:
            typer.echo(f"{path}: export it with: {export_command(path)}", err=True)


def _with(recipe: AnyRecipe, key: str, value: float | None) -> AnyRecipe:
    from dataclasses import replace

    if value is None:
        return recipe
    if not hasattr(recipe, key):
        raise BoundError(f"recipe {recipe.name} has no {key}; leave out --{key}")
    return replace(recipe, **{key: value})  # type: ignore[arg-type]


def _tuning(recipe: AnyRecipe, **asked: bool) -> dict[str, Any]:
    """Return the loop's keyword arguments beyond those of plain training."""
    from edgeae_export.tuning import Tuning

    if not any(asked.values()):
        return {}
    if recipe.network != "photo":
        options = " and ".join(f"--{k.replace('_', '-')}" for k, v in asked.items() if v)
        raise BoundError(f"recipe {recipe.name} is no photo codec's; leave out {options}")
    return {"tuning": Tuning(**asked)}


def _starting_weights(init: str, recipe: AnyRecipe) -> Checkpoint[Any]:
    from edgeae_export.starts import load_start

    start = load_start(init)
    if start.recipe.network != recipe.network:
        raise BundleError(
            f"{init}: of network {start.recipe.network}; recipe {recipe.name} is of "
            f"{recipe.network}, name a checkpoint of that"
        )
    return start


def export(
    checkpoint: Annotated[Path, typer.Argument(help="checkpoint.safetensors of edgeae train.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the bundle; a new one.")],
    validation: Annotated[
        list[Path], typer.Option("--val", help="Held-out pictures: parity, rates, distortions.")
    ],
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", help="Training pictures; the tables are fitted to them."),
    ] = None,
    entropy_of: Annotated[
        str | None,
        typer.Option(
            help="In place of --data: keep the tables of this bundle, a name or a folder, that "
            "--freeze-entropy began with, and its latent space unless --latent-space names "
            "another; in one latent space each of the two decodes the other's files."
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the bundle; by default that of its folder.")
    ] = None,
    description: Annotated[str, typer.Option(help="One line for people.")] = "",
    latent_space: Annotated[
        str | None,
        typer.Option(
            help="Names the training run whose latents these are; by default a new one, or that of "
            "--entropy-of."
        ),
    ] = None,
    pictures: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How many of --data the tables are fitted to; 200 for photo codecs, else 10 000.",
        ),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
) -> None:
    """Export a checkpoint as a bundle: graphs, tables, manifest, card; only if all checks pass.

    Example: edgeae export runs/m/checkpoint.safetensors --data photos/ --val held-out/ -o bundle/
    """
    with export_extra():
        import torch

        from edgeae.bundle import Bundle, find_bundle
        from edgeae_export.checkpoint import Checkpoint
        from edgeae_export.exporters import EXPORTERS
        from edgeae_export.write_bundle import Label

        if bool(data) == (entropy_of is not None):
            raise BoundError("give either --data or --entropy-of: where the tables come from")
        if entropy_of is not None and pictures is not None:
            raise BoundError("--entropy-of keeps the tables; leave out --pictures")
        base = Bundle.load(find_bundle(entropy_of)) if entropy_of else None
        torch.set_num_threads(threads)
        trained = Checkpoint.load(checkpoint)
        exporter = EXPORTERS[trained.recipe.network]
        chosen = name or out.name
        label = Label(
            name=chosen,
            description=description
            or f"Network {trained.recipe.network}, recipe {trained.recipe.name}",
            latent_space=latent_space
            or (base.manifest.latent_space if base else f"{chosen}-{trained.progress.step}"),
        )
        manifest = exporter.export(
            trained, data or [], validation, out, label, pictures or exporter.pictures, base
        )
    for quality, bpp, psnr in manifest.rate_distortion:
        typer.echo(f"quality {quality:5g}  {bpp:.4f} bpp  {psnr:.2f} dB", err=True)
    typer.echo(f"{out}: use it with: edgeae compress -m {out} picture.png", err=True)
