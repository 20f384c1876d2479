"""What is measured: bundles in all ways they may run, on a picture in all sizes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgeae.benchmark.leaves import fitted, leaves
from edgeae.benchmark.rounds import Length
from edgeae.bundle import Bundle, find_bundle
from edgeae.errors import BundleError
from edgeae.graphs import default_threads
from edgeae.images.files import read_picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

DEFAULT_SIZE = (768, 512)  # width, height


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A bundle and how it runs."""

    model: str
    precision: str
    provider: str
    threads: int

    @property
    def name(self) -> str:
        """Name of the bundle, also if its folder was given."""
        return Path(self.model).name

    def options(self) -> list[str]:
        """Return the same for the command line."""
        return [
            *("--model", self.model),
            *("--precision", self.precision),
            *("--provider", self.provider),
            *("--threads", str(self.threads)),
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a user asks for; empty means what is sensible here."""

    models: Sequence[str]
    precisions: Sequence[str]  # empty: those each bundle has
    threads: Sequence[int]  # empty: one, and all processors
    providers: Sequence[str]
    sizes: Sequence[tuple[int, int]]  # width, height; empty: the picture's, or one of all bundles
    image: Path | None  # None: made leaves
    peers: Sequence[str]  # keys of `edgeae.benchmark.race.RACERS`
    quality: float
    effort: int
    length: Length
    memory: bool
    start: bool


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """The picture that all sizes are cut from, and those sizes."""

    name: str  # for readers: no path
    whole: NDArray[np.uint8] | None  # None: leaves, made at each size
    grey: bool
    sizes: tuple[tuple[int, int], ...]

    def pixels(self, width: int, height: int) -> NDArray[np.uint8]:
        """Return (height, width) or (height, width, 3) uint8."""
        if self.whole is None:
            return _as_asked(leaves(width, height), grey=self.grey)
        return _as_asked(fitted(self.whole, width, height), grey=self.grey)


def find_cases(request: Request) -> list[Case]:
    """Return every combination of what was asked for, each once.

    Raises
    ------
    BundleError
        There is no such bundle, or it takes arrays and no pictures.
    """
    cases = []
    for model, bundle in _bundles(request).items():
        precisions = request.precisions or bundle.precisions
        threads = request.threads or sorted({1, default_threads()})
        for provider, precision, count in product(request.providers, precisions, threads):
            cases.append(Case(model=model, precision=precision, provider=provider, threads=count))
    return list(dict.fromkeys(cases))


def find_subject(request: Request) -> Subject:
    """Return the picture to measure on.

    Raises
    ------
    BundleError
        As of `find_cases`.
    ImageError
        The picture cannot be read.
    """
    manifests = [bundle.manifest for bundle in _bundles(request).values()]
    grey = any(manifest.input == "grey" for manifest in manifests)
    fixed = [of.fixed_size[::-1] for of in manifests if of.fixed_size is not None]
    whole = None if request.image is None else read_picture(request.image).pixels
    own = [DEFAULT_SIZE] if whole is None else [whole.shape[1::-1]]
    sizes = tuple(dict.fromkeys(request.sizes or fixed or own))
    return Subject(request.image.name if request.image else "leaves", whole, grey, sizes)


def _as_asked(pixels: NDArray[np.uint8], *, grey: bool) -> NDArray[np.uint8]:
    if not grey or pixels.ndim == 2:
        return pixels
    mean: NDArray[np.uint8] = np.rint(pixels.mean(axis=-1)).astype(np.uint8)
    return mean


def _bundles(request: Request) -> dict[str, Bundle]:
    bundles = {model: Bundle.load(find_bundle(model)) for model in dict.fromkeys(request.models)}
    for bundle in bundles.values():
        if bundle.manifest.input == "array":
            raise BundleError(
                f"bundle {bundle.manifest.name} takes arrays; latency is measured on pictures, "
                f"choose a bundle for pictures"
            )
    return bundles
