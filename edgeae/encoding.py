"""Pictures to rounded latents: at a quality, or at the one that comes to a target."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgeae.colours import encode_colours, indexed
from edgeae.container import QUALITY_MAX, fixed_bytes
from edgeae.correction import corrected, section_bits
from edgeae.entropy.rans import payload_bits
from edgeae.errors import BoundError
from edgeae.images.picture import Picture
from edgeae.images.profiles import needed
from edgeae.inputs import Label
from edgeae.latents import Latents, round_quality
from edgeae.metrics import psnr_db
from edgeae.packing import pack
from edgeae.planes import encode_plane
from edgeae.rate_control import PSNR_TOLERANCE_DB, TargetPsnr
from edgeae.refine import FAST_EFFORT, Refiner
from edgeae.trials import Reached, Trials

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from edgeae.bundle import Bundle
    from edgeae.coded import Coded
    from edgeae.colours import Indexed
    from edgeae.inputs import ImageLike, Source
    from edgeae.priors import Prior
    from edgeae.rate_control import Target, TargetBpp, TargetSize
    from edgeae.transforms import Transforms

DEFAULT_QUALITY = 50.0
EFFORTS = (0, 1, 2)
DEFAULT_EFFORT = 1


@dataclass(frozen=True, slots=True, eq=False)
class Encoding:
    """The latents of a picture and how a target was met; `edgeae.packing.pack` makes the file."""

    latents: Latents
    coded: Coded
    effort: int
    colours: bytes | None = None  # the exact pixels, if they take less than the latents
    file: bytes | None = None  # if it was needed already, to know its size
    psnr_db: float | None = None  # of the decoded latents, for a `TargetPsnr`
    note: str | None = None  # for the user


def latents_of(encoding: Encoding, asked: float | Target) -> Latents:
    """Return the latents without the exact colours that a file may have in their place.

    Raises
    ------
    BoundError
        A PSNR was asked for that only the colours have.
    """
    reached = math.inf if encoding.psnr_db is None else encoding.psnr_db
    if isinstance(asked, TargetPsnr) and reached < asked.psnr_db - PSNR_TOLERANCE_DB:
        raise BoundError(
            f"{asked.psnr_db:g} dB are out of reach of latents, which have {reached:.2f} dB at "
            "most here; an .eae file has the exact colours"
        )
    return encoding.latents


class SourceEncoder:
    """The way from pictures and arrays to encodings, by a bundle's transforms and its prior."""

    def __init__(self, bundle: Bundle, transforms: Transforms, prior: Prior) -> None:
        self._bundle = bundle
        self._transforms = transforms
        self._prior = prior
        self._refiner = Refiner(bundle, transforms, prior)

    def at_quality(
        self, images: Iterable[ImageLike], quality: float, effort: int
    ) -> list[Encoding]:
        """Return the encoding of each at a quality of 0..100; equal sizes run as one batch.

        Of large ``images`` few pixels are kept beyond the encoder.
        """
        _check_effort(effort)
        quality = round_quality(quality)
        level = np.asarray(quality, np.float32)
        sources = [self._transforms.input.read(image) for image in images]
        originals = [self._refiner.original(source, effort) for source in sources]
        colours = [self._colours(source) for source in sources]
        ys = self._analyse(sources, keeps_y=effort > FAST_EFFORT)
        sources.clear()
        encodings = []
        for original, few in zip(originals, colours, strict=True):
            y = ys.pop(0)
            coded = self._prior.quantize(y, level)
            exact = _smaller(few, original.label, coded)
            if exact is None:
                coded = self._refiner.refined(coded, y, original, level, effort)
                exact = _smaller(few, original.label, coded)  # rounds make them larger
            latents = self._latents(original.label, quality, coded)
            encodings.append(Encoding(latents, coded, effort, exact))
        return encodings

    def at_target(self, image: ImageLike, target: Target, effort: int) -> Encoding:
        """Return the encoding that comes to a target.

        Raises
        ------
        BoundError
            No quality does, or the bundle has one quality.
        """
        _check_effort(effort)
        manifest = self._bundle.manifest
        source = self._transforms.input.read(image)
        if not isinstance(source, Picture) or manifest.fixed_size is not None:
            raise BoundError(
                f"bundle {manifest.name} has one quality, so it cannot come to a "
                f"target; leave the target out, or choose another model"
            )
        precise = effort > FAST_EFFORT or isinstance(target, TargetPsnr)
        original = self._refiner.original(source, effort)
        (y,) = self._analyse([source], keeps_y=precise)
        trials = Trials(y, original, self._prior, self._refiner, effort, manifest)
        few = self._colours(source)
        if isinstance(target, TargetPsnr):
            reached = self._reach_psnr(source, target, trials, few)
        else:
            reached = self._reach_size(source, target, trials, few)
        return Encoding(
            latents=self._latents(original.label, reached.quality / 100, reached.coded),
            coded=reached.coded,
            effort=effort,
            colours=_smaller(few, original.label, reached.coded),
            file=reached.file,
            psnr_db=reached.psnr_db,
            note=reached.note,
        )

    def _reach_size(
        self,
        picture: Picture,
        target: TargetSize | TargetBpp,
        trials: Trials,
        few: Indexed | None,
    ) -> Reached:
        plane = None if picture.alpha is None else encode_plane(picture.alpha)
        sections = [section for section in (plane, needed(picture.icc), picture.exif) if section]
        limit = target.limit_bytes(picture.width * picture.height)
        fixed = fixed_bytes(picture.width, picture.height, limit, sections)
        label = Label.of(picture)

        def write(quality: int, coded: Coded) -> bytes:
            latents = self._latents(label, quality / 100, coded)
            colours = _smaller(few, label, coded)
            return pack(latents, coded, self._bundle, plane=plane, colours=colours)

        return trials.reach_size(limit, fixed, write)

    def _reach_psnr(
        self,
        picture: Picture,
        target: TargetPsnr,
        trials: Trials,
        few: Indexed | None,
    ) -> Reached:
        def render(coded: Coded, quality: int, height: int, width: int) -> NDArray[np.uint8]:
            decoded = self._transforms.synthesize_samples(
                coded.y_hat, quality / 100, height, width, picture.mode
            )
            return decoded if coded.correction is None else corrected(decoded, coded.correction)

        try:
            return trials.reach_psnr(target.psnr_db, picture.pixels, render)
        except BoundError:
            if few is None:
                raise
            best = trials.coded(QUALITY_MAX, trials.effort)
            if _smaller(few, Label.of(picture), best) is None:
                raise
            decoded = render(best, QUALITY_MAX, picture.height, picture.width)
            highest = psnr_db(picture.pixels, decoded)
            if highest > target.psnr_db:
                raise
            return Reached(QUALITY_MAX, best, psnr_db=highest)

    def _colours(self, source: Source) -> Indexed | None:
        """Return the pixels of a picture of few colours, if files may hold them as they are.

        Those of plain autoencoders may not: what their networks make of a picture is the point.
        """
        if not isinstance(source, Picture) or not len(self._bundle.masks):
            return None
        return indexed(source.pixels)

    def _analyse(self, sources: Sequence[Source], *, keeps_y: bool) -> list[NDArray[np.floating]]:
        """Return the latents of each before rounding.

        Of large pictures they are float16 unless ``keeps_y``: half the memory, and a latent of 100
        steps is off by 0.03.
        """
        transforms = self._transforms
        large = [transforms.is_large(source.height, source.width) for source in sources]
        dtype: type[np.floating] = np.float32 if keeps_y else np.float16
        small = iter(
            transforms.analyse(
                [source for source, tiled in zip(sources, large, strict=True) if not tiled]
            )
        )
        return [
            transforms.analyse_large(source, dtype) if tiled else next(small)
            for source, tiled in zip(sources, large, strict=True)
        ]

    def _latents(self, label: Label, quality: float, coded: Coded) -> Latents:
        return Latents(
            symbols=coded.symbols,
            z=coded.z,
            width=label.width,
            height=label.height,
            mode=label.mode,
            quality=quality,
            coding_id=self._bundle.coding_id,
            alpha=label.alpha,
            icc=needed(label.icc),
            exif=label.exif or None,
            correction=coded.correction,
        )


def _smaller(few: Indexed | None, label: Label, coded: Coded) -> bytes | None:
    """Return the coded colours if a file is no larger with them than with the latents."""
    if few is None:
        return None
    size, count = (label.width, label.height), math.ceil(payload_bits(coded.sections) / 8)
    count += section_bits(coded.correction) // 8
    limit = fixed_bytes(*size, count, []) + count
    colours = encode_colours(few, limit)
    return colours if colours and fixed_bytes(*size, 0, [colours]) <= limit else None


def _check_effort(effort: int) -> None:
    """Raise ValueError unless ``effort`` is one of ``EFFORTS``."""
    if effort not in EFFORTS:
        raise ValueError(f"effort {effort} is not one of {list(EFFORTS)}")
