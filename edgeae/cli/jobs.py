"""Which files a command reads and which it writes, all decided before the first is opened."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from edgeae.errors import OutputError
from edgeae.paths import exists, is_file, is_folder, is_link

if TYPE_CHECKING:
    from edgeae.errors import EdgeaeError

PIPE = "-"


@dataclass(frozen=True, slots=True)
class Job:
    """One input and its output; None is stdin or stdout.

    ``again``: a worker process died with it, and the output may be what that one wrote.
    """

    source: Path | None
    target: Path | None
    again: bool = False

    @property
    def source_name(self) -> str:
        """The input as messages call it."""
        return PIPE if self.source is None else str(self.source)

    @property
    def target_name(self) -> str:
        """The output as messages call it."""
        return PIPE if self.target is None else str(self.target)


@dataclass(frozen=True, slots=True)
class _Source:
    path: Path | None
    relative: Path  # where it belongs under an output folder
    of_many: bool  # came from a folder or a pattern


def plan(
    inputs: list[str],
    output: str | None,
    *,
    suffix: str,
    suffixes: frozenset[str],
    recursive: bool,
    missing: type[EdgeaeError],
    earlier: str | None = None,
) -> list[Job]:
    """Return the jobs of a command line.

    Parameters
    ----------
    inputs : list of str
        Files, folders, patterns, or "-".
    output : str or None
        Of ``-o``: a file, a folder, "-", or None for beside the input.
    suffix : str
        Of outputs that are not named by the user.
    suffixes : frozenset of str
        Which files of a folder are taken, in lower case.
    recursive : bool
        Whether folders are allowed.
    missing : type
        What to raise if an input names nothing.
    earlier : str, optional
        What the stems of earlier outputs end in: files of folders that are not taken.

    Raises
    ------
    EdgeaeError
        Of the type ``missing``; also of a folder that may not be looked into.
    OutputError
        Two inputs have the same output, or one would be overwritten.
    typer.BadParameter
        The command line contradicts itself.
    """
    sources = [source for text in inputs for source in _expand(text, suffixes, recursive, missing)]
    if earlier is not None:
        sources = [s for s in sources if not (s.of_many and s.relative.stem.endswith(earlier))]
        if not sources:
            raise missing(f"{', '.join(inputs)}: nothing but files that end in {earlier}")
    jobs = _with_targets(sources, output, suffix)
    _check_targets(jobs)
    return jobs


def sources(
    inputs: list[str], *, suffixes: frozenset[str], recursive: bool, missing: type[EdgeaeError]
) -> list[Job]:
    """Return the inputs of a command with one output for all, as jobs without a target.

    Parameters and errors are those of `plan`.
    """
    found = [source for text in inputs for source in _expand(text, suffixes, recursive, missing)]
    if sum(source.path is None for source in found) > 1:
        raise typer.BadParameter("stdin can be read once; give - once")
    return [Job(source.path, None) for source in found]


def names_folder(output: str) -> bool:
    """Return whether an output is a folder: there is one, or the name ends in a separator."""
    separators = tuple(filter(None, (os.sep, os.altsep)))
    return output.endswith(separators) or is_folder(Path(output))


def target_of(output: str) -> Path | None:
    """Return the file that ``-o`` names, None for stdout."""
    return None if output == PIPE else Path(output)


def _expand(
    text: str, suffixes: frozenset[str], recursive: bool, missing: type[EdgeaeError]
) -> Iterable[_Source]:
    if text == PIPE:
        return [_Source(None, Path("stdin"), of_many=False)]
    path = Path(text)
    if is_folder(path):
        if not recursive:
            raise typer.BadParameter(f"{text} is a folder; add -r to take the files in it")
        return _walk(path, suffixes, missing)
    if exists(path) or not glob.has_magic(text):
        return [_Source(path, Path(path.name), of_many=False)]
    found = [Path(name) for name in sorted(glob.glob(text, recursive=True))]  # noqa: PTH207 absolute patterns too
    files = [path for path in found if is_file(path)]
    if not files:
        raise missing(f"{text}: no file matches this pattern")
    return [_Source(path, Path(path.name), of_many=True) for path in files]


def _walk(folder: Path, suffixes: frozenset[str], missing: type[EdgeaeError]) -> list[_Source]:
    def refuse(error: OSError) -> None:
        raise missing(f"{error.filename}: cannot be looked into: {error.strerror or error}")

    paths = [
        Path(parent, name)
        for parent, _, names in os.walk(folder, onerror=refuse)
        for name in names
        if os.path.splitext(name)[1].lower() in suffixes  # noqa: PTH122 no Path for each file
    ]
    if not paths:
        raise missing(f"{folder}: no file in it ends in {', '.join(sorted(suffixes))}")
    return [_Source(path, path.relative_to(folder), of_many=True) for path in sorted(paths)]


def _with_targets(sources: list[_Source], output: str | None, suffix: str) -> list[Job]:
    several = len(sources) > 1 or any(source.of_many for source in sources)
    if output == PIPE or (output is None and not several and sources[0].path is None):
        if several:
            raise typer.BadParameter("several inputs do not fit into one stdout; name a folder")
        return [Job(sources[0].path, None)]
    if output is not None and not (several or names_folder(output)):
        return [Job(sources[0].path, Path(output))]
    if any(source.path is None for source in sources):
        raise typer.BadParameter("stdin has no name for its output; give it alone, with -o FILE")
    if output is None:
        return [Job(s.path, s.path.with_suffix(suffix)) for s in sources if s.path is not None]
    return [Job(s.path, Path(output) / s.relative.with_suffix(suffix)) for s in sources]


def _check_targets(jobs: list[Job]) -> None:
    place = _Places()
    taken: dict[str, Job] = {}
    sources = {place.of(job.source) for job in jobs if job.source is not None}
    for job in jobs:
        if job.target is None:
            continue
        target = place.of(job.target)
        other = taken.setdefault(target, job)
        if other is not job:
            raise OutputError(
                f"{job.target}: output of both {other.source_name} and {job.source_name}; "
                f"convert them one by one, each with its own -o"
            )
        if job.source is not None and _same(job.source, job.target):
            raise OutputError(f"{job.target}: is the input itself; name another output")
        if target in sources:
            raise OutputError(f"{job.target}: is an input as well; name another output")


class _Places:
    """Where files really are, whichever links, or on Windows letters of either case, lead there."""

    def __init__(self) -> None:
        self._folders: dict[Path, str] = {}  # one look at the disk for all files of a folder

    def of(self, path: Path) -> str:
        if is_link(path):
            return os.path.normcase(os.path.realpath(path))
        folder = self._folders.get(path.parent)
        if folder is None:
            folder = self._folders[path.parent] = os.path.realpath(path.parent)
        return os.path.normcase(os.path.join(folder, path.name))  # noqa: PTH118 no Path for each


def _same(first: Path, second: Path) -> bool:
    return exists(first) and exists(second) and first.samefile(second)
