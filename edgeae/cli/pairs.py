"""Which pictures `eval` reads: the files of folders, and which of two folders belong together."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from edgeae.cli.sources import LATENT_SUFFIX, PICTURE_SUFFIXES
from edgeae.errors import ImageError
from edgeae.paths import exists, is_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PLUGIN_SUFFIXES = frozenset({".heic", ".heif", ".jxl"})  # pictures where the plug-in is installed
COMPARED_SUFFIXES = PICTURE_SUFFIXES | PLUGIN_SUFFIXES | {LATENT_SUFFIX}


@dataclass(frozen=True, slots=True)
class Pair:
    """An original and what it is compared with."""

    name: str
    reference: Path
    picture: Path


def find_pairs(a: Path, b: Path, *, recursive: bool) -> tuple[list[Pair], dict[Path, ImageError]]:
    """Return what is to be compared, and an error for each file without a counterpart.

    Parameters
    ----------
    a, b : Path
        Two files, or two folders whose files are matched by their relative path without suffix.
        Several files of ``b`` may match one of ``a``; if several of ``a`` match, pictures go
        before an ``.eae``, which is rarely the original, and one of the same suffix before others.
    recursive : bool
        Whether files in sub-folders are taken.

    Raises
    ------
    ImageError
        There is no such file or folder, or nothing of ``a`` matches anything of ``b``.
    typer.BadParameter
        One is a folder and the other is not.
    """
    for path in (a, b):
        if not exists(path):
            raise ImageError(f"{path}: no such file or folder")
    if is_folder(a) != is_folder(b):
        raise typer.BadParameter(f"{a} and {b}: give two pictures, or two folders")
    if not is_folder(a):
        return [Pair(str(b), a, b)], {}
    pairs, errors = _match(a, b, recursive)
    if not pairs:
        raise ImageError(
            f"{a} and {b}: no picture of one has the name of a picture of the other"
            f"{'' if recursive else '; -r takes those in sub-folders'}"
        )
    return pairs, errors


def files_in(folder: Path, suffixes: frozenset[str], *, recursive: bool) -> list[Path]:
    """Return the files of a folder that end in one of ``suffixes``, in order of their paths.

    Raises
    ------
    ImageError
        A folder may not be looked into.
    """

    def refuse(error: OSError) -> None:
        raise ImageError(f"{error.filename}: cannot be looked into: {error.strerror or error}")

    found = []
    for parent, folders, names in os.walk(folder, onerror=refuse):
        found += [Path(parent, n) for n in names if Path(n).suffix.lower() in suffixes]
        if not recursive:
            folders.clear()
    return sorted(found)


def pictures_of(inputs: Sequence[str], *, recursive: bool) -> list[Path]:
    """Return the picture files that are named, and those of the folders that are named.

    Raises
    ------
    ImageError
        There is no such file or folder, or a folder has no pictures.
    """
    paths: list[Path] = []
    for path in map(Path, inputs):
        if not exists(path):
            raise ImageError(f"{path}: no such file or folder")
        found = files_in(path, PICTURE_SUFFIXES, recursive=recursive) if is_folder(path) else [path]
        if not found:
            hint = "" if recursive else "; -r takes those in sub-folders"
            raise ImageError(
                f"{path}: no file in it ends in {', '.join(sorted(PICTURE_SUFFIXES))}{hint}"
            )
        paths += found
    return list(dict.fromkeys(paths))


def _match(a: Path, b: Path, recursive: bool) -> tuple[list[Pair], dict[Path, ImageError]]:
    references, pictures = _by_key(a, recursive), _by_key(b, recursive)
    pairs: list[Pair] = []
    errors: dict[Path, ImageError] = {}
    for picture in chain.from_iterable(pictures.values()):
        matching = references.get(_key(picture, b), [])
        candidates = [p for p in matching if p.suffix.lower() != LATENT_SUFFIX] or matching
        chosen = [p for p in candidates if p.suffix == picture.suffix] or candidates
        if len(chosen) == 1:
            pairs.append(Pair(str(picture.relative_to(b)), chosen[0], picture))
        else:
            errors[picture] = _without_counterpart(picture, a, candidates)
    for reference in chain.from_iterable(references.values()):
        if _key(reference, a) not in pictures:
            errors[reference] = _without_counterpart(reference, b, [])
    return pairs, errors


def _by_key(folder: Path, recursive: bool) -> dict[Path, list[Path]]:
    by_key: dict[Path, list[Path]] = {}
    for path in files_in(folder, COMPARED_SUFFIXES, recursive=recursive):
        by_key.setdefault(_key(path, folder), []).append(path)
    return by_key


def _key(path: Path, folder: Path) -> Path:
    return path.relative_to(folder).with_suffix("")


def _without_counterpart(path: Path, other: Path, candidates: Iterable[Path]) -> ImageError:
    if names := ", ".join(candidate.name for candidate in candidates):
        return ImageError(f"{path}: which of {names} in {other} is meant? compare the two alone")
    return ImageError(f"{path}: no picture of this name in {other}")
