"""info and models: what is in a file or a bundle, and which bundles there are."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeae.cli.options import MAX_PIXELS, AsJson, MaxPixels
from edgeae.cli.output import print_line
from edgeae.cli.sizes import readable_bytes
from edgeae.errors import BundleError, ContainerError, EdgeaeError
from edgeae.paths import exists, is_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgeae.container import Container

_LABEL_WIDTH = 16


def info(
    inputs: Annotated[
        list[str], typer.Argument(help=".eae or .npy files, bundle folders, or names of bundles.")
    ],
    max_pixels: MaxPixels = MAX_PIXELS,
    as_json: AsJson = False,
) -> None:
    """Say what is in a file or a bundle.

    A file: picture, quality, the model it needs, and the bytes of each section, with every
    checksum over bytes verified. A bundle: what it is, its files with every hash verified, and
    where it came from, and which precision "auto" has found faster here. Both: the providers that
    can run it here.
    """
    for text in inputs:
        fields = _describe(text, max_pixels)
        if as_json:
            print_line(json.dumps(fields))
        else:
            _print_fields(fields)


def models(as_json: AsJson = False) -> None:
    """List the bundles that can be used by name.

    They are looked for in the folders of EDGEAE_MODELS, in the user's data folder, and in the
    installed package.
    """
    from edgeae.bundle import list_bundles, precisions, read_manifest

    for path in list_bundles():
        fields: dict[str, object] = {"name": path.name, "path": str(path)}
        try:
            manifest = read_manifest(path)
            size = sum(file.stat().st_size for file in path.iterdir())
            forms = precisions(manifest)
            fields |= {"coding_id": manifest.coding_id, "bytes": size, "precisions": list(forms)}
            fields |= {"description": manifest.description}
            line = (
                f"{manifest.coding_id}  {readable_bytes(size):>8}  {'/'.join(forms):9}  "
                f"{manifest.description}"
            )
        except (EdgeaeError, OSError) as error:
            fields |= {"error": str(error)}
            line = f"cannot be used: {error}"
        print_line(json.dumps(fields) if as_json else f"{path.name:{_LABEL_WIDTH}}{line}")


def _describe(text: str, max_pixels: int) -> dict[str, object]:
    path = Path(text)
    if not exists(path) or is_folder(path):
        from edgeae.bundle import find_bundle

        if not is_folder(path) and path.suffix in {".eae", ".npy"}:
            raise ContainerError(f"{text}: no such file")
        return _describe_bundle(find_bundle(text))
    try:
        return _describe_file(path, max_pixels)
    except OSError as error:
        raise ContainerError(f"{text}: cannot be read: {error.strerror or error}") from error
    except EdgeaeError as error:
        raise type(error)(f"{text}: {error}") from error


def _describe_file(path: Path, max_pixels: int) -> dict[str, object]:
    from edgeae.cli.packed import read_whole
    from edgeae.container import Container
    from edgeae.graphs import available_providers
    from edgeae.npy import is_npy, latents_from_npy

    with path.open("rb") as file:
        data = read_whole(file)
    if is_npy(data):
        latents = latents_from_npy(data, max_pixels=max_pixels)
        shapes = {"symbols": list(latents.symbols.shape), "z": list(latents.z.shape)}
        named: Container | None = None
        width, height, mode = latents.width, latents.height, latents.mode
        quality, coding_id = latents.quality, latents.coding_id
    else:
        named = Container.from_bytes(data, max_pixels=max_pixels)
        shapes = {}
        width, height, mode = named.header.width, named.header.height, named.header.mode
        quality, coding_id = named.header.quality / 100, named.header.coding_id
    return {
        "file": str(path),
        "bytes": len(data),
        "bpp": round(8 * len(data) / (width * height), 6),
        "width": width,
        "height": height,
        "mode": mode,
        "quality": quality,
        "coding_id": coding_id.hex(),
        "model": _model_for(coding_id),
        **({} if named is None else _sections(named, len(data))),
        **shapes,
        "providers": list(available_providers()),
    }


def _sections(container: Container, size: int) -> dict[str, object]:
    payloads = {
        "latents": container.latents,
        "alpha": container.alpha,
        "colours": container.colours,
        "icc": container.icc,
        "exif": container.exif,
        "correction": container.correction,
    }
    lengths = {name: len(data) for name, data in payloads.items() if data is not None}
    return {
        "steps": container.header.steps,
        "lanes": 1 << container.lanes_log2,
        "sections": {"header": size - sum(lengths.values()), **lengths},
    }


def _model_for(coding_id: bytes) -> str | None:
    from edgeae.bundle import find_by_coding_id

    try:
        return str(find_by_coding_id(coding_id))
    except BundleError:  # None says it: not on this machine
        return None


def _describe_bundle(path: Path) -> dict[str, object]:
    from edgeae.bundle import Bundle
    from edgeae.graphs import available_providers, default_threads
    from edgeae.precision import remembered

    bundle = Bundle.load(path)
    bundle.verify()
    manifest = dataclasses.asdict(bundle.manifest)
    sizes = {name: (path / name).stat().st_size for name in manifest.pop("files")}
    return {
        "bundle": str(path),
        **manifest,
        "steps": len(bundle.masks),
        "files": sizes,
        "providers": list(available_providers()),
        "precisions": list(bundle.precisions),
        "auto": remembered(bundle, threads=default_threads()),
    }


def _print_fields(fields: Mapping[str, object], indent: int = 0) -> None:
    for name, value in fields.items():
        label = f"{' ' * indent}{name:{_LABEL_WIDTH - indent}}"
        if isinstance(value, dict):
            print_line(label.rstrip())
            _print_fields(value, indent + 2)
        else:
            print_line(f"{label} {_readable(name, value)}")


def _readable(name: str, value: object) -> str:
    if name == "model" and value is None:
        return "none here has this coding id; `edgeae models` lists those there are"
    if name == "bytes" and isinstance(value, int):
        return f"{value} ({readable_bytes(value)})"
    if name in {"encoder", "decoder"} and value is None:
        return "not measured yet"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return f"{len(value)} rows; card.md has them, --json prints them"
    if value is None or isinstance(value, (dict, list, tuple)):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
