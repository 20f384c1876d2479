"""The C kernel as a file: built where a compiler is, done without where none is."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from weakref import ref

import numpy as np
import pytest

from edgeae.entropy import lanes
from edgeae.entropy.rans import Decoder, Section, encode
from edgeae.entropy.rows import RowEncoder
from edgeae.entropy.scalar import ScalarDecoder
from edgeae.entropy.tables import ScaleTables
from edgeae.kernel.build import SOURCES, build
from edgeae.kernel.library import load

ARRAYS = ("slots", "starts", "entries")  # of tables, as the kernel takes them


def test_without_a_compiler_nothing_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", str(tmp_path / "absent"))
    assert build(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_library_that_is_absent_or_none_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "text.so").write_text("no library")
    assert load(tmp_path / "absent.so") is None
    assert load(tmp_path / "text.so") is None


@pytest.mark.usefixtures("c_compiler")
def test_library_of_another_version_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    shutil.copytree(SOURCES, other)
    header = other / "kernel.h"
    header.write_text(header.read_text().replace("#define VERSION 2", "#define VERSION 1"))
    monkeypatch.setattr("edgeae.kernel.build.SOURCES", other)
    built = build(tmp_path)
    assert built is not None
    assert load(built) is None


@pytest.mark.usefixtures("c_compiler")
def test_files_of_either_machine_decode_on_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = build(tmp_path)
    assert built is not None
    tables = ScaleTables((np.array([8192, 8192]), np.array([15000, 1000, 384])))
    random = np.random.default_rng(0)
    symbols = random.integers(-9, 10, 50_000)
    part = Section(symbols, np.ones(symbols.size, np.uint8), tables)
    payloads = {}
    for name, library in (("kernel", load(built)), ("numpy", None)):
        monkeypatch.setattr(lanes, "kernel", lambda library=library: library)
        payloads[name] = encode([part])
    assert payloads["kernel"] == payloads["numpy"]
    for library in (load(built), None):
        monkeypatch.setattr(lanes, "kernel", lambda library=library: library)
        decoder = Decoder(*payloads["kernel"])
        assert (decoder.decode(part.indexes, tables, last=True) == symbols).all()


@pytest.mark.usefixtures("c_compiler")
def test_arrays_of_tables_outlive_those_that_another_thread_puts_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = build(tmp_path)
    assert built is not None
    library = load(built)
    tables = ScaleTables((np.array([8192, 8192]), np.array([15000, 1000, 384])))

    class Late:
        """The library as it is if another thread is between our look at the tables and C's."""

        def __getattr__(self, name: str) -> Any:
            def call(*arguments: int) -> int:
                seen = [ref(vars(tables).pop(key)) for key in ARRAYS if key in vars(tables)]
                assert seen
                assert all(array() is not None for array in seen)
                done: int = getattr(library, name)(*arguments)
                return done

            return call

    monkeypatch.setattr(lanes, "kernel", Late)
    symbols = np.random.default_rng(0).integers(-9, 10, 500)
    part = Section(symbols, np.ones(symbols.size, np.uint8), tables)
    decoder = Decoder(*encode([part]))
    assert (decoder.decode(part.indexes, tables, last=True) == symbols).all()


def test_numpy_takes_rows_of_many_lanes_and_the_loop_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "kernel", lambda: None)
    assert isinstance(lanes.lane_encoder(np.full(64, 1 << 16, np.uint32), 9), RowEncoder)
    words = np.zeros(99, np.uint16)
    assert isinstance(lanes.lane_decoder(np.full(32, 1 << 16, np.int64), words), ScalarDecoder)
