"""The commands by name, where each is and what ``--help`` says of it; none is imported for that.

Installed packages add theirs by entry points of the group "edgeae.commands". They are read from the
files in which installers write them: importlib.metadata takes as long to import as Typer.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ENTRY_POINTS = "edgeae.commands"
_ENTRY_POINTS_FILE = "entry_points.txt"
_METADATA_FOLDERS = (".dist-info", ".egg-info")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a command's function is."""

    module: str
    function: str

    @classmethod
    def parse(cls, text: str) -> Place:
        """Return the place that "module:function" names; extras behind it play no part."""
        module, _, function = text.partition("[")[0].partition(":")
        return cls(module.strip(), function.strip())

    def load(self) -> Any:
        """Import the module and return the function; ImportError or AttributeError if it lacks."""
        return getattr(import_module(self.module), self.function)


COMMANDS = {  # in the order of the help text
    name: Place(f"edgeae.cli.{module}", function)
    for name, module, function in (
        ("compress", "compress", "compress"),
        ("decompress", "decompress", "decompress"),
        ("info", "inspect", "info"),
        ("models", "inspect", "models"),
        ("sample", "generate", "sample"),
        ("interpolate", "generate", "interpolate"),
        ("reconstruct", "reconstruct", "reconstruct"),
        ("embed", "embed", "embed"),
        ("augment", "augment", "augment"),
        ("restore", "restore", "restore"),
        ("eval", "evaluate", "evaluate"),
        ("bench", "bench", "bench"),
        ("doctor", "doctor", "doctor"),
        ("web", "web", "web"),
    )
}
SUMMARIES = {  # a line each; a command that is not here is imported to say its own
    "compress": "Compress pictures, or arrays of floats, to .eae files.",
    "decompress": "Decompress .eae files to pictures or arrays.",
    "info": "Say what is in a file or a bundle.",
    "models": "List the bundles that can be used by name.",
    "sample": "Draw new pictures from a variational autoencoder's prior.",
    "interpolate": "Walk from one picture to another through the latents.",
    "reconstruct": "Send pictures through an autoencoder; list their errors.",
    "embed": "Write the latents of pictures into one array.",
    "augment": "Make variants of the pictures in a folder.",
    "restore": "Restore noisy or damaged pictures with a denoiser.",
    "eval": "Measure files against originals, or a model on a folder.",
    "bench": "Measure a bundle's speed on this machine, stage by stage.",
    "doctor": "Check the installation, the providers and the bundles.",
    "web": "Write a web page that decodes and encodes in the browser.",
    "adopt": "Make a bundle of two ONNX graphs made elsewhere.",
    "average": "Average the weights of several trainings.",
    "export": "Export a checkpoint as a bundle.",
    "quantize": "Add int8 graphs to a bundle, if they are good enough.",
    "train": "Train a photo codec or an autoencoder on your pictures.",
}


def mounted() -> dict[str, Place]:
    """Return the commands of installed packages by name, sorted; the first found of a name."""
    found: dict[str, Place] = {}
    for text in _entry_point_files():
        for name, place in _entries(text):
            found.setdefault(name, place)
    return dict(sorted(found.items()))


def _entry_point_files() -> Iterator[str]:
    """Yield the entry points, as text, of each package on the path that has some of the group."""
    for folder in dict.fromkeys(sys.path):
        try:
            installed = [p for p in Path(folder).iterdir() if p.name.endswith(_METADATA_FOLDERS)]
        except OSError:  # the path may name archives, and folders that are not there
            continue
        for path in sorted(installed):
            with suppress(OSError, UnicodeDecodeError):  # most packages have no such file
                text = (path / _ENTRY_POINTS_FILE).read_text(encoding="utf-8")
                if ENTRY_POINTS in text:
                    yield text


def _entries(text: str) -> Iterator[tuple[str, Place]]:
    group = None
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            group = line.strip("[]").strip()
        elif group == ENTRY_POINTS and "=" in line and not line.startswith(("#", ";")):
            name, _, place = line.partition("=")
            yield name.strip(), Place.parse(place)
