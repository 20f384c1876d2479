"""Bytes to a file or to stdout: whole or not at all."""

from __future__ import annotations

import glob
import os
import re
import stat
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import typer

from edgeae import paths
from edgeae.errors import OutputError
from edgeae.paths import is_file, is_folder, is_link, make_folder

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and newline
_PERMISSIONS = 0o666  # minus the user's mask, as for any new file
_PART = ".part"
_NAME_KEPT = 48  # characters, of up to four bytes; file systems take 255


def check_target(target: Path | None, *, force: bool) -> None:
    """Raise OutputError if `write` would refuse: asked early, this saves the work."""
    if target is None:
        if sys.stdout.isatty():
            raise OutputError("stdout is a terminal; give -o FILE, or pipe it somewhere")
    elif is_folder(target):
        raise OutputError(f"{target}: is a folder; name a file in it")
    elif not force and _is_regular(target):
        raise OutputError(f"{target}: exists; overwrite it with -f, or name another with -o")


def write(data: bytes | Iterable[bytes], target: Path | None, *, force: bool) -> int:
    """Write ``data`` to a file, or to stdout if ``target`` is None; return its bytes.

    It may come in pieces, each of which is written before the next one is asked for.

    A file appears under its name when it is complete and on the disk, by renaming a temporary
    sibling; whatever happens before leaves nothing under that name. Devices and pipes are written
    to as they are.

    Raises
    ------
    OutputError
        It exists and ``force`` is false, or it cannot be written.
    BrokenPipeError
        The reader of stdout has gone.
    """
    pieces = [data] if isinstance(data, bytes) else data
    if target is None:
        with _stdout_errors():
            count = sum(map(sys.stdout.buffer.write, pieces))
            sys.stdout.buffer.flush()
        return count
    try:
        if paths.exists(target) and not is_file(target):
            with target.open("wb") as device:
                return sum(map(device.write, pieces))
        file = target.resolve()  # a link keeps pointing at what it points at
        with _temporary(file) as temporary:
            count = _write_through(temporary, pieces, _permissions(file))
            _publish(temporary, file, force=force)
            return count
    except BrokenPipeError:
        raise
    except (OSError, RuntimeError) as error:  # RuntimeError: a link to itself, before Python 3.13
        reason = getattr(error, "strerror", None) or error
        raise OutputError(
            f"{target}: cannot be written: {reason}; nothing was left behind"
        ) from error


def write_in_folder(data: bytes | Iterable[bytes], target: Path | None, *, force: bool) -> int:
    """Write as `write` does, and make the target's folder if there is none."""
    if target is not None:
        make_folder(target.parent)
    return write(data, target, force=force)


def exists(target: Path | None) -> bool:
    """Return whether a whole output is there: one of this program's own never appears in parts."""
    return target is not None and is_file(target) and target.stat().st_size > 0


def remove_partial(target: Path) -> None:
    """Remove what a killed process left of an output that it was writing."""
    file = target.resolve()
    for path in file.parent.glob(f"{glob.escape(_stem(file))}*{_PART}"):
        path.unlink(missing_ok=True)


def print_line(text: str) -> None:
    """Print a line to stdout; the errors are those of `write`."""
    with _stdout_errors():
        sys.stdout.write(f"{_visible(text)}\n")
        sys.stdout.flush()


def say(text: str) -> None:
    """Print a line to stderr."""
    typer.echo(_visible(text), err=True)


def _visible(text: str) -> str:
    """Return text with control characters, which terminals obey and files may bring, in words."""
    return _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def discard(stream: TextIO) -> None:
    """Point a standard stream nowhere, so that Python's own flush at exit stays silent."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _is_regular(target: Path) -> bool:
    return is_file(target) or (is_link(target) and not paths.exists(target))


@contextmanager
def _stdout_errors() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        discard(sys.stdout)
        raise OutputError(f"stdout: cannot be written: {error.strerror or error}") from error


def _partial(file: Path, random: str) -> str:
    return f"{_stem(file)}{random}{_PART}"


def _stem(file: Path) -> str:
    """Return what all partial files of an output begin with, and of no other one."""
    crc = zlib.crc32(os.fsencode(file.name))  # outputs often share the beginning of their names
    return f".{file.name[:_NAME_KEPT]}.{crc:08x}."


@contextmanager
def _temporary(target: Path) -> Iterator[Path]:
    path = target.with_name(_partial(target, os.urandom(4).hex()))
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _permissions(file: Path) -> int:
    """Return those of the file that is replaced: what was private stays so."""
    return stat.S_IMODE(file.stat().st_mode) & _PERMISSIONS if is_file(file) else _PERMISSIONS


def _write_through(path: Path, pieces: Iterable[bytes], permissions: int) -> int:
    descriptor = os.open(
        path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), permissions
    )
    with os.fdopen(descriptor, "wb") as file:
        count = sum(map(file.write, pieces))
        file.flush()
        os.fsync(file.fileno())
    return count


def _publish(temporary: Path, target: Path, *, force: bool) -> None:
    if force:
        temporary.replace(target)
        return
    try:
        os.link(temporary, target)  # unlike a rename, fails if the name was taken meanwhile
    except FileExistsError as error:
        raise OutputError(f"{target}: exists; overwrite it with -f") from error
    except OSError:  # a file system without hard links
        check_target(target, force=False)
        temporary.replace(target)
