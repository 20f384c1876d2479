"""Write tests/portability/bundles: bundles of a few kB that onnx alone can write.

    PYTHONPATH=tests python tests/portability/make_bundles.py [FOLDER]

``vae`` takes grey pictures of 8x8, ``series`` arrays of (4, 6), ``filter`` RGB of any size, with a
table for each latent of 16x16 pictures; ``steps`` is a hyperprior of 15 masks. They are committed;
needs the package onnx.
"""

from __future__ import annotations

import dataclasses
import shutil
import sys
from pathlib import Path

import numpy as np
from array_bundle import write_array_bundle
from plain_bundles import write_filter_bundle, write_vae_bundle
from steps_bundle import write_steps_bundle

from edgeae.bundle import (
    MANIFEST,
    TABLES,
    Bundle,
    PositionTables,
    coding_id,
    file_sha256,
    tables_arrays,
)
from edgeae.entropy.tables import ChannelTables

BUNDLES = Path(__file__).parent / "bundles"
POSITIONS = (8, 8)  # of latents; 16x16 pixels


def add_position_tables(folder: Path) -> None:
    """Give the bundle a table for each latent of one size, of 2 to 40 symbols."""
    bundle = Bundle.load(folder)
    latents = bundle.manifest.latent_channels * POSITIONS[0] * POSITIONS[1]
    rows, minimum = [], []
    for number in range(latents):
        row = np.full(2 + number % 39, 60 + number % 5, np.uint16)
        row[number % row.size] += (1 << 14) - int(row.sum())
        rows.append(row)
        minimum.append(100 + number % 7 - number % 39 // 2)
    tables = ChannelTables(tuple(rows), np.array(minimum, np.int16))
    arrays = tables_arrays(
        bundle.masks, bundle.channel_tables, None, PositionTables(POSITIONS, tables)
    )
    np.savez_compressed(folder / TABLES, **arrays)  # type: ignore[arg-type]  # numpy 2 stub
    manifest = bundle.manifest
    changed = dataclasses.replace(
        manifest,
        coding_id=coding_id(b"", arrays, manifest.latent_space).hex(),
        files={**manifest.files, TABLES: file_sha256(folder / TABLES)},
    )
    (folder / MANIFEST).write_text(changed.to_json())


def main() -> None:
    """Write the bundles in place of those there are."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else BUNDLES
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_vae_bundle(folder / "vae")
    write_array_bundle(folder / "series")
    add_position_tables(write_filter_bundle(folder / "filter"))
    write_steps_bundle(folder / "steps")


if __name__ == "__main__":
    main()
