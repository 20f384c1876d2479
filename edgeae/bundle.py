"""A bundle is a folder with a manifest, graphs and tables; here it is found, opened and verified.

Every file is checked against the manifest's SHA-256 when it is read, so a graph that is not needed
is not read. Bundles are looked for in the folders of ``EDGEAE_MODELS``, the user's data folder and
the package, in this order; nothing is downloaded.
"""

from __future__ import annotations

import functools
import hashlib
import io
import os
import re
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from edgeae.entropy.tables import ChannelTables, ScaleTables
from edgeae.errors import BundleError
from edgeae.manifest import Manifest
from edgeae.masks import check_masks
from edgeae.paths import is_file, is_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

MANIFEST, TABLES, PRIOR, CARD = "manifest.json", "tables.npz", "prior.npz", "card.md"
GRAPHS = ("encoder", "hyper_encoder", "hyper_decoder", "decoder")
PLAIN_GRAPHS = ("encoder", "decoder")
QUANTIZED_GRAPHS = PLAIN_GRAPHS  # those that may have an int8 form; the hyper graphs never do
FP32, INT8 = "fp32", "int8"
DEFAULT_MODEL = "photo"
_CODING_ID_BYTES = 8
_MAX_MANIFEST_BYTES = 1 << 20
_MAX_TABLES_BYTES = 1 << 26  # unpacked
_MAX_FILE_BYTES = 1 << 31  # protobuf's own limit for an ONNX file
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True, eq=False)
class PositionTables:
    """A table for each latent (c, i, j), in C order, for latents of one size."""

    size: tuple[int, int]  # h, w
    tables: ChannelTables


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """An opened bundle; `load` is the way to one."""

    path: Path
    manifest: Manifest
    coding_id: bytes  # 8 bytes
    masks: NDArray[np.bool_]  # (n, C, 2, 2), n = 0 for a plain autoencoder
    channel_tables: ChannelTables  # of the hyper-latents, or of a plain autoencoder's latents
    scale_tables: ScaleTables | None  # None for a plain autoencoder
    position_tables: PositionTables | None  # of a plain autoencoder, for latents of one size

    @classmethod
    def load(cls, path: Path) -> Self:
        """Open the bundle in folder ``path``.

        The manifest, the tables and the hyper-decoder are read and verified, no other graph.

        Raises
        ------
        BundleError
            A file is missing, changed or invalid.
        """
        path = path.absolute()  # graphs are read later, maybe from another working directory
        manifest = read_manifest(path)
        graphs = PLAIN_GRAPHS if manifest.plain else GRAPHS
        missing = sorted({TABLES, *map(graph_file, graphs)} - manifest.files.keys())
        if missing:
            raise BundleError(f"{path / MANIFEST}: files lacks {missing}; export the bundle again")
        arrays = unpack_arrays(path / TABLES, _read(path, manifest, TABLES))
        hyper_decoder = b"" if manifest.plain else _read(path, manifest, graph_file(GRAPHS[2]))
        identity = coding_id(hyper_decoder, arrays, manifest.latent_space)
        if identity.hex() != manifest.coding_id:
            raise BundleError(
                f"{path}: coding id is {identity.hex()}, the manifest says {manifest.coding_id}; "
                f"export the bundle again"
            )
        try:
            bundle = cls(path, manifest, identity, *_from_arrays(arrays))
            bundle._check_shapes()
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"{path / TABLES}: {error}; export the bundle again") from error
        return bundle

    @property
    def graphs(self) -> tuple[str, ...]:
        """Names of the graphs that a bundle of this kind has."""
        return PLAIN_GRAPHS if self.manifest.plain else GRAPHS

    @property
    def precisions(self) -> tuple[str, ...]:
        """The precisions it can run in: "fp32", and "int8" if a graph has an int8 form."""
        return precisions(self.manifest)

    def read(self, name: str) -> bytes:
        """Return the verified bytes of file ``name``."""
        return _read(self.path, self.manifest, name)

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """Return the verified arrays of the ``.npz`` file ``name``."""
        return unpack_arrays(self.path / name, self.read(name))

    def verify(self) -> None:
        """Raise BundleError unless every file is there and unchanged."""
        for name in self.manifest.files:
            self.read(name)

    def _check_shapes(self) -> None:
        check_masks(self.masks)
        manifest = self.manifest
        channels = manifest.latent_channels if manifest.plain else manifest.hyper_channels
        found = (self.masks.shape[1], len(self.channel_tables))
        if found != (manifest.latent_channels, channels):
            raise ValueError(
                f"masks and tables are for {found} channels, the manifest has "
                f"{(manifest.latent_channels, channels)}"
            )
        parts = (manifest.plain, len(self.masks) == 0, self.scale_tables is None)
        if len(set(parts)) != 1:
            raise ValueError(
                f"hyper_stride 0: {parts[0]}, no masks: {parts[1]}, no scale tables: {parts[2]}; "
                f"a bundle has all three or none"
            )
        positions = self.position_tables
        if positions is not None:
            rows = manifest.latent_channels * positions.size[0] * positions.size[1]
            if not manifest.plain or len(positions.tables) != rows:
                raise ValueError(
                    f"{len(positions.tables)} position tables for {positions.size}; only a plain "
                    f"autoencoder has them, and {rows} then"
                )


def graph_file(name: str, precision: str = FP32) -> str:
    """Return the name of the file that holds graph ``name`` in "fp32" or "int8"."""
    return f"{name}.onnx" if precision == FP32 else f"{name}.{precision}.onnx"


def precisions(manifest: Manifest) -> tuple[str, ...]:
    """Return the precisions that a bundle has files for, "fp32" first."""
    quantized = any(graph_file(name, INT8) in manifest.files for name in QUANTIZED_GRAPHS)
    return (FP32, INT8) if quantized else (FP32,)


def tables_arrays(
    masks: NDArray[np.bool_],
    channel_tables: ChannelTables,
    scale_tables: ScaleTables | None,
    position_tables: PositionTables | None = None,
) -> dict[str, NDArray[Any]]:
    """Return the members of tables.npz."""
    arrays: dict[str, NDArray[Any]] = {"masks": masks}
    arrays |= {f"channel.{key}": array for key, array in channel_tables.to_arrays().items()}
    if scale_tables is not None:
        arrays |= {f"scale.{key}": array for key, array in scale_tables.to_arrays().items()}
    if position_tables is not None:
        arrays["positions"] = np.array(position_tables.size, np.uint16)
        tables = position_tables.tables.to_arrays()
        arrays |= {f"position.{key}": array for key, array in tables.items()}
    return arrays


def coding_id(hyper_decoder: bytes, arrays: Mapping[str, NDArray[Any]], latent_space: str) -> bytes:
    """Return the 8 bytes that name everything a file's symbols depend on.

    Parameters
    ----------
    hyper_decoder : bytes
        The ONNX file; empty for a plain autoencoder.
    arrays : mapping
        The members of tables.npz, as of `tables_arrays`.
    latent_space : str
        From the manifest.
    """
    digest = hashlib.sha256(hyper_decoder)
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name]).reshape(arrays[name].shape)
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        for part in (name, little.dtype.str, repr(little.shape)):
            digest.update(part.encode())
        digest.update(little.tobytes())
    digest.update(latent_space.encode())
    return digest.digest()[:_CODING_ID_BYTES]


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(path: Path) -> Manifest:
    """Return the manifest of the bundle in folder ``path``; BundleError if there is none."""
    data = _read_bytes(path / MANIFEST, _MAX_MANIFEST_BYTES)
    try:
        return Manifest.from_json(data.decode())
    except UnicodeDecodeError as error:
        raise BundleError(f"{path / MANIFEST}: not UTF-8 text: {error}") from error
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from error


def list_bundles() -> list[Path]:
    """Return the folders of all bundles that can be found by name, first found first."""
    found: dict[str, Path] = {}
    for folder in _search_path():
        for path in _subfolders(folder):
            if is_file(path / MANIFEST):
                found.setdefault(path.name, path)
    return list(found.values())


def find_bundle(model: str | os.PathLike[str]) -> Path:
    """Return the folder of ``model``, a bundle's name or the path of its folder.

    Raises
    ------
    BundleError
        There is no such bundle; the message lists those there are.
    """
    name = os.fspath(model)
    if _NAME.fullmatch(name):
        for folder in _search_path():
            if is_file(folder / name / MANIFEST):
                return folder / name
    path = Path(name)
    if is_file(path / MANIFEST):
        return path
    names = [bundle.name for bundle in list_bundles()]
    raise BundleError(
        f"model {name!r} is neither a bundle of {names} nor a folder with a {MANIFEST}; "
        f"give the path of one, or put it into a folder of EDGEAE_MODELS"
    )


def find_by_coding_id(identity: bytes) -> Path:
    """Return the folder of a bundle that decodes files with this coding id, the default first.

    Raises
    ------
    BundleError
        None does; the message lists the coding ids there are.
    """
    there: dict[str, str] = {}
    for path in sorted(list_bundles(), key=lambda path: path.name != DEFAULT_MODEL):
        try:
            there[path.name] = _coding_id_in(path)
        except BundleError:  # another bundle may still do; `edgeae models` reports this one
            continue
        if there[path.name] == identity.hex():
            return path
    raise BundleError(
        f"made with a bundle of coding id {identity.hex()}, not with one of {there}; install that "
        f"bundle, or give its folder with --model"
    )


def _coding_id_in(path: Path) -> str:
    """Return the coding id of the bundle in folder ``path``; BundleError if there is none."""
    try:
        known = (path / MANIFEST).stat()
    except OSError:
        return read_manifest(path).coding_id  # says what is wrong
    return _coding_id_of(path, known.st_mtime_ns, known.st_size)


@functools.lru_cache(maxsize=256)
def _coding_id_of(path: Path, _: int, __: int) -> str:
    # Time and size are part of the key: a manifest that was replaced is read anew.
    return read_manifest(path).coding_id


def _search_path() -> Iterator[Path]:
    for folder in os.environ.get("EDGEAE_MODELS", "").split(os.pathsep):
        if folder:
            yield Path(folder)
    from platformdirs import user_data_path

    with suppress(RuntimeError):  # no home folder
        yield user_data_path("edgeae", appauthor=False) / "models"
    yield Path(__file__).parent / "models"


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if is_folder(path))
    except OSError:  # a folder of the search path need not exist
        return []


def _read(path: Path, manifest: Manifest, name: str) -> bytes:
    expected = manifest.files.get(name)
    if expected is None:
        raise BundleError(f"{path / MANIFEST}: files lacks {name!r}; export the bundle again")
    data = _read_bytes(path / name, _MAX_FILE_BYTES)
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        raise BundleError(
            f"{path / name}: SHA-256 is {found}, the manifest says {expected}; "
            f"the file was changed or is incomplete, install the bundle again"
        )
    return data


def _read_bytes(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}; install the bundle again") from error
    if len(data) > limit:
        raise BundleError(f"{path}: more than {limit} bytes; not a file of a bundle")
    return data


def unpack_arrays(
    path: Path, data: bytes, *, limit: int = _MAX_TABLES_BYTES
) -> dict[str, NDArray[Any]]:
    """Return the members of the ``.npz`` file ``path`` that holds ``data``.

    Raises
    ------
    BundleError
        It is none, or takes more than ``limit`` bytes unpacked.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(member.file_size for member in archive.infolist())
        members = _members(data) if size <= limit else {}
    except Exception as error:  # numpy reads headers as Python, and raises whatever that does
        raise BundleError(f"{path}: no NumPy archive: {error}; export the bundle again") from error
    if size > limit:
        raise BundleError(f"{path}: {size} bytes unpacked, at most {limit}")
    for name, array in members.items():
        if not isinstance(array, np.ndarray):
            raise BundleError(f"{path}: {name} is no array; export the bundle again")
    return members


def _members(data: bytes) -> dict[str, NDArray[Any]]:
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return dict(arrays)


def _from_arrays(
    arrays: Mapping[str, NDArray[Any]],
) -> tuple[NDArray[np.bool_], ChannelTables, ScaleTables | None, PositionTables | None]:
    scale = _part(arrays, "scale.")
    return (
        arrays["masks"],
        ChannelTables.from_arrays(_part(arrays, "channel.")),
        ScaleTables.from_arrays(scale) if scale else None,
        _position_tables(arrays) if "positions" in arrays else None,
    )


def _position_tables(arrays: Mapping[str, NDArray[Any]]) -> PositionTables:
    size = arrays["positions"]
    if size.shape != (2,) or size.dtype.kind != "u":
        raise ValueError(f"positions are {size.dtype} {size.shape}, not a height and a width")
    tables = ChannelTables.from_arrays(_part(arrays, "position."))
    return PositionTables((int(size[0]), int(size[1])), tables)


def _part(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
