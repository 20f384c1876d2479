"""The result file: versions, averaged curves, BD-rates and every picture's points, as JSON."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from edgeae.evaluation.bd_rate import available, bd_rates
from edgeae.evaluation.peers import ANCHOR
from edgeae.evaluation.peers import versions as peer_versions
from edgeae.evaluation.rate_distortion import Point, mean_curve

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

COLUMNS = ("quality", "bpp", "psnr_db", "ms_ssim")


@dataclass(frozen=True, slots=True)
class Results:
    """What was measured on the pictures of a folder.

    Attributes
    ----------
    folder : str
        Name of the folder.
    files : mapping
        Name of each picture to the SHA-256 of its file, hexadecimal.
    labels : mapping
        Name of each codec to what tables and plots call it.
    points : mapping
        Name of each codec to the points of each picture, by the SHA-256 of its file.
    settings : mapping
        Name of each codec of edgeae to what else its points depend on: `EdgeaeCoder.settings`.
    """

    folder: str
    files: Mapping[str, str]
    labels: Mapping[str, str]
    points: Mapping[str, Mapping[str, list[Point]]]
    settings: Mapping[str, Mapping[str, object]]

    def curves(self) -> dict[str, list[Point]]:
        """Return the mean over the pictures, by the name of the codec."""
        return {name: mean_curve(self.points[name].values()) for name in self.points}

    def bd_rates(self) -> dict[str, dict[str, float | None]]:
        """Return each codec's BD-rates in percent against JPEG, by "psnr" and "ms_ssim".

        Those of a codec are empty if JPEG was not measured or package bjontegaard is absent.
        """
        curves = self.curves()
        if ANCHOR not in curves or not available():
            return {name: {} for name in curves}
        return {name: bd_rates(curves[ANCHOR], curve) for name, curve in curves.items()}

    def to_json(self) -> str:
        """Return the text of the result file."""
        rates = self.bd_rates()
        codecs = {
            name: {
                "label": self.labels[name],
                "points": [p.to_json() for p in curve],
                "bd_rate": rates[name],
                "pictures": {
                    digest: [p.to_json() for p in points]
                    for digest, points in self.points[name].items()
                },
            }
            for name, curve in self.curves().items()
        }
        document = {
            "folder": self.folder,
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "versions": versions(),
            "settings": self.settings,
            "anchor": ANCHOR,
            "columns": COLUMNS,
            "files": dict(self.files),
            "codecs": codecs,
        }
        return json.dumps(document, indent=1, allow_nan=False) + "\n"


@dataclass(frozen=True, slots=True)
class StoredPoints:
    """What an earlier run measured, for use in another."""

    points: Mapping[str, Mapping[str, list[Point]]]  # as in Results
    versions: Mapping[str, str]
    settings: Mapping[str, Mapping[str, object]]  # as in Results

    @classmethod
    def from_json(cls, text: str) -> StoredPoints:
        """Return the points in a result file."""
        document = json.loads(text)
        points = {
            name: {
                digest: [Point.from_json(row) for row in rows]
                for digest, rows in codec["pictures"].items()
            }
            for name, codec in document["codecs"].items()
        }
        return cls(points, document["versions"], document.get("settings", {}))


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions() -> dict[str, str]:
    """Return the versions that the measured bytes and figures depend on."""
    ours = {name: metadata.version(name) for name in ("edgeae", "onnxruntime", "numpy")}
    return {**ours, **peer_versions(), "Python": platform.python_version()}
