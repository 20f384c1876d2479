"""The known file of a bundle: made by an export, or for a bundle that is there already.

    python -m edgeae_export.known_file BUNDLE ...

`edgeae doctor` compares machines and providers with it.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from edgeae.bundle import FP32, MANIFEST, file_sha256, read_manifest
from edgeae.codec import Codec
from edgeae.known_file import KNOWN_FILE, make_known_file
from edgeae.manifest import Manifest
from edgeae_export.archive import write_archive


def add_known_file(folder: Path) -> Manifest:
    """Write the known file of the bundle in ``folder``, anew if it has one; return its manifest.

    Raises
    ------
    BundleError
        There is no such bundle, or a file of it was changed.
    """
    codec = Codec.load(folder, precision=FP32, threads=1)
    write_archive(folder / KNOWN_FILE, make_known_file(codec).to_arrays())
    manifest = read_manifest(folder)
    files = {**manifest.files, KNOWN_FILE: file_sha256(folder / KNOWN_FILE)}
    manifest = dataclasses.replace(manifest, files=files)
    (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8", newline="\n")
    return manifest


def main(folders: list[str]) -> None:
    """Write the known file of each bundle."""
    for folder in folders:
        add_known_file(Path(folder))
        size = (Path(folder) / KNOWN_FILE).stat().st_size
        sys.stderr.write(f"{folder}: {KNOWN_FILE}, {size} bytes\n")


if __name__ == "__main__":
    main(sys.argv[1:])
