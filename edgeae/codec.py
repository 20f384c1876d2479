"""Picture to latents to bytes, and back, with the graphs and tables of one bundle.

encode: pixels -> encoder -> y -> prior (round, predict) -> symbols -> entropy coder -> container
decode: container -> entropy coder and prior -> y_hat -> decoder -> pixels

One short method a way; the steps are in `transforms`, `encoding`, `packing` and `autoencoder`.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeae.autoencoder import Autoencoder
from edgeae.batches import windows
from edgeae.bundle import DEFAULT_MODEL, FP32, INT8, Bundle, find_bundle
from edgeae.container import ARRAY_MODE, MAX_PIXELS, read_header
from edgeae.correction import REACH, corrected, corrected_rows
from edgeae.crops import crop_of
from edgeae.encoding import DEFAULT_EFFORT, DEFAULT_QUALITY, Encoding, SourceEncoder, latents_of
from edgeae.errors import ImageError
from edgeae.exact import exact_picture
from edgeae.graphs import default_threads
from edgeae.images.picture import Picture
from edgeae.images.strips import Strips, strips_of
from edgeae.inputs import Label, picture_in
from edgeae.packing import check_coding_id, open_container, pack, restore, unpack
from edgeae.precision import AUTO
from edgeae.priors import open_prior
from edgeae.rate_control import Target
from edgeae.sampling import sample_latents
from edgeae.transforms import Transforms

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import TypeAlias

    from numpy.typing import NDArray

    from edgeae.coded import Coded
    from edgeae.crops import Crop, Region
    from edgeae.inputs import ImageLike, Source
    from edgeae.latents import Latents

    # what a file holds: a picture of few colours, or latents
    Opened: TypeAlias = Picture | tuple[Latents, Coded]


class Codec:
    """The codec of one bundle, for repeated use; `load` is the way to one.

    Sessions are made when first needed: decoding never loads the encoder. A codec may be shared by
    threads, and pickled: the copy opens the bundle anew. The hyper-decoder always runs on the CPU
    in fp32, whatever was asked for, so that every machine decodes the same symbols.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        provider: str = "cpu",
        precision: str = AUTO,
        threads: int | None = None,
    ) -> None:
        self.bundle = bundle
        self.threads = default_threads() if threads is None else threads
        self._asked: dict[str, Any] = {
            "provider": provider,
            "precision": precision,
            "threads": threads,
        }
        self._transforms = Transforms(
            bundle, provider=provider, precision=precision, threads=self.threads
        )
        self._prior = open_prior(bundle, provider=provider, threads=self.threads)
        self._source_encoder = SourceEncoder(bundle, self._transforms, self._prior)
        self._autoencoder = Autoencoder(self._transforms)

    @classmethod
    def load(
        cls,
        model: str | os.PathLike[str] = DEFAULT_MODEL,
        *,
        provider: str = "cpu",
        precision: str = AUTO,
        threads: int | None = None,
    ) -> Codec:
        """Return the codec of ``model``, a bundle's name or the path of its folder.

        Parameters
        ----------
        model : str or path
            See `edgeae.bundle.find_bundle`.
        provider : str
            "cpu", "cuda", "openvino", "coreml", or "auto" for the first that works.
        precision : str
            "fp32"; "int8" for the graphs that have an int8 form; "auto" for the faster of the two,
            measured when a graph is first needed and remembered for this machine. The file that
            `compress` writes depends on it; every file decodes in either.
        threads : int, optional
            Threads inside a graph; by default the processors this process may use.

        Raises
        ------
        BundleError
            There is no such bundle, a file of it was changed, or it has no int8 graph and int8
            was asked for.
        ValueError
            Unknown provider or precision, or fewer than one thread.
        """
        bundle = Bundle.load(find_bundle(model))
        return cls(bundle, provider=provider, precision=precision, threads=threads)

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self).load, **self._asked), (self.bundle.path,)

    def prepare_encoding(self) -> None:
        """Begin to make the sessions that every effort needs, each in a thread of its own."""
        self._transforms.encoder.prepare()
        self._prior.prepare()

    def prepare_decoding(self) -> None:
        """Begin to make the decoder's session in a thread, while symbols are decoded."""
        self._transforms.decoder.prepare()

    @property
    def asked_provider(self) -> str:
        """Provider that was asked for, maybe "auto"."""
        return str(self._asked["provider"])

    @property
    def encoder_provider(self) -> str:
        """Provider that runs the encoder; makes its session if there is none yet."""
        return self._transforms.encoder.provider

    @property
    def decoder_provider(self) -> str:
        """Provider that runs the decoder; makes its session if there is none yet."""
        return self._transforms.decoder.provider

    @property
    def nodes(self) -> dict[str, dict[str, int]]:
        """How many nodes of encoder and decoder each provider runs; see `edgeae.graphs.Graph`."""
        return {
            "encoder": self._transforms.encoder.nodes,
            "decoder": self._transforms.decoder.nodes,
        }

    @property
    def encoder_precision(self) -> str:
        """Precision that runs the encoder; "auto" measures here if it must."""
        return self._transforms.encoder.precision

    @property
    def decoder_precision(self) -> str:
        """Precision that runs the decoder; "auto" measures here if it must."""
        return self._transforms.decoder.precision

    @property
    def precision(self) -> str:
        """What runs: "int8" if that is the precision of encoder or decoder, else "fp32"."""
        return INT8 if INT8 in (self.encoder_precision, self.decoder_precision) else FP32

    @property
    def takes_batches(self) -> bool:
        """Whether the encoder runs several pictures of equal size at once."""
        return self._transforms.encoder.takes_batches

    def encode(
        self,
        image: ImageLike,
        quality: float | Target = DEFAULT_QUALITY,
        *,
        effort: int = DEFAULT_EFFORT,
    ) -> Latents:
        """Return the latents of a picture.

        Parameters
        ----------
        image : Picture, array or Pillow image
            uint8 (H, W), (H, W, 2) grey with alpha, (H, W, 3), (H, W, 4) RGB with alpha. Where the
            bundle's input is "array", floats of its shape.
        quality : float or Target
            0..100, rounded to hundredths; higher is better and larger. Or what to come to: a
            `TargetSize`, a `TargetBpp` (of the ``.eae`` file, also for latents) or a `TargetPsnr`.
        effort : int
            How often what was found is decoded and analysed again, 0 to 2: the latents make up for
            what the decoded picture lacks, and a filter comes along that takes back what latents
            cannot. Pictures of over two megapixels get the filter alone at 1. Larger is slower.

        Raises
        ------
        BoundError
            No quality comes to the target.
        GraphError
            The provider cannot be used.
        ImageError
            A colour picture, and a bundle for grey ones.
        TypeError, ValueError
            Not a picture, a quality outside 0..100, or another effort.
        """
        return latents_of(self.reach(image, quality, effort=effort), quality)

    def reach(
        self,
        image: ImageLike,
        quality: float | Target = DEFAULT_QUALITY,
        *,
        effort: int = DEFAULT_EFFORT,
    ) -> Encoding:
        """Return what `encode` and `compress` do, with how a target was met."""
        if isinstance(quality, Target):
            return self._source_encoder.at_target(image, quality, effort)
        return self.reach_many([image], quality, effort=effort)[0]

    def reach_many(
        self,
        images: Iterable[ImageLike],
        quality: float = DEFAULT_QUALITY,
        *,
        effort: int = DEFAULT_EFFORT,
    ) -> list[Encoding]:
        """Return what `reach` does of each; those of equal size run as one batch if they can.

        Large pictures that only ``images`` has, an iterator, are let go before latents are rounded.
        """
        return self._source_encoder.at_quality(images, quality, effort)

    def decode(self, latents: Latents) -> Picture:
        """Return the picture that latents of this bundle stand for.

        Raises
        ------
        BundleError
            The latents were made with another bundle.
        ContainerError
            Their shapes do not fit the size of the picture.
        """
        return picture_in(self._restore(latents))

    def decode_array(self, latents: Latents) -> NDArray[Any]:
        """Return what `decompress` does, of latents; the errors are those of `decode`."""
        return self._transforms.input.to_array(self._restore(latents))

    def to_bytes(self, latents: Latents) -> bytes:
        """Return the ``.eae`` file of latents; the errors are those of `decode`."""
        coded = restore(latents, self.bundle, self._prior, self._transforms.input)
        return pack(latents, coded, self.bundle)

    def from_bytes(self, data: bytes, *, max_pixels: int = MAX_PIXELS) -> Latents:
        """Return the latents in an ``.eae`` file.

        A picture of few colours is stored without any: then those that `encode` finds for it.

        Raises
        ------
        BundleError
            The file was made with another bundle.
        ContainerError
            The file is damaged, too new, or larger than ``max_pixels``.
        """
        opened = self._open(data, max_pixels)
        if isinstance(opened, Picture):
            return self.encode(opened, read_header(data).quality / 100)
        return opened[0]

    def compress(
        self,
        image: ImageLike,
        quality: float | Target = DEFAULT_QUALITY,
        *,
        effort: int = DEFAULT_EFFORT,
    ) -> bytes:
        """Return the ``.eae`` file of a picture; parameters and errors are those of `encode`."""
        return self.file_of(self.reach(image, quality, effort=effort))

    def file_of(self, encoding: Encoding) -> bytes:
        """Return the ``.eae`` file of what `reach` found."""
        return encoding.file or pack(
            encoding.latents, encoding.coded, self.bundle, colours=encoding.colours
        )

    def embed(self, images: Iterable[ImageLike]) -> Iterator[NDArray[np.float32]]:
        """Yield the latents (C, h, w) of each picture before rounding, in the network's own units.

        In steps of y if the bundle has no ``latent_step``. Batches are as of `compress_many`,
        errors as of `encode`.
        """
        return self._autoencoder.embed(images)

    def posterior(
        self, images: Iterable[ImageLike]
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32] | None]]:
        """Yield `embed`'s latents (C, h, w) with their standard deviations, in the same units.

        The deviations are None unless the encoder is a variational one, with a second output
        ``log_variance``.
        """
        return self._autoencoder.posterior(images)

    def reconstruct(self, images: Iterable[ImageLike]) -> Iterator[Source]:
        """Yield decoder(encoder(x)) of each, without rounding: what a denoiser is for.

        Alpha and metadata stay. Small pictures run in batches as of `compress_many`. Large ones run
        in tiles, whose result differs by at most one level from that of the whole picture, if the
        bundle says how far a pixel sees (``halo``). Errors are those of `encode` and of
        `check_plain`.
        """
        return self._autoencoder.reconstruct(images)

    def decode_like(self, latents: NDArray[np.float32], source: Source) -> list[Source]:
        """Return what the decoder makes of latents (n, C, h, w), as pictures like ``source``.

        Of its size, grey or RGB as it is, and with its alpha and metadata. Units and errors are
        those of `generate`.
        """
        return self._autoencoder.decode_like(latents, source)

    def read(self, image: ImageLike) -> Source:
        """Return what `compress` makes of its argument first; the errors are those of `encode`."""
        return self._transforms.input.read(image)

    def generate(self, latents: NDArray[np.float32]) -> NDArray[Any]:
        """Return what the decoder makes of any latents, in the network's own units.

        Parameters
        ----------
        latents : (n, C, h, w) float32
            As `embed` gives them, or made up: samples of the prior, ways between two pictures.

        Returns
        -------
        (n, H, W, C) uint8, or (n, ...) float32 where the bundle's input is "array"

        Raises
        ------
        BundleError
            The bundle is not of a plain autoencoder: its latents mean nothing by themselves.
        GraphError
            The decoder cannot take latents of this shape.
        """
        return self._autoencoder.generate(latents)

    def sample(self, count: int, *, seed: int = 0, truncation: float = 1.0) -> NDArray[Any]:
        """Return ``count`` new pictures as of `generate`, from the bundle's prior.

        A truncation below 1 gives more typical and less varied ones. The first are the same
        however many there are; errors are of `edgeae.sampling.sample_latents`.
        """
        latents = sample_latents(self.bundle, count, seed=seed, truncation=truncation)
        return self.generate(latents)

    def compress_many(
        self,
        images: Iterable[ImageLike],
        quality: float = DEFAULT_QUALITY,
        *,
        effort: int = DEFAULT_EFFORT,
    ) -> Iterator[bytes]:
        """Yield the ``.eae`` file of each picture, in order.

        Pictures of equal size run through the encoder together, where its graph takes several:
        many times faster if they are small. Of the iterable no more is read than one batch.
        Parameters and errors are those of `encode`.
        """
        for window in self._transforms.read(images):
            yield from map(self.file_of, self.reach_many(window, quality, effort=effort))

    def decompress(
        self, data: bytes, *, region: Region | None = None, max_pixels: int = MAX_PIXELS
    ) -> NDArray[Any]:
        """Return (H, W), (H, W, 2), (H, W, 3) or (H, W, 4) uint8.

        Of a bundle whose input is "array", float32 of its shape.

        Parameters
        ----------
        data : bytes
            An ``.eae`` file.
        region : (x, y, width, height), optional
            Pixels of the part that is wanted: exactly what all of the picture has there, from the
            tiles of a large picture that it meets. All symbols are decoded for it.
        max_pixels : int
            As of `from_bytes`.

        Raises
        ------
        BoundError
            The region is not within the picture.
        BundleError, ContainerError
            Of `from_bytes`.
        ImageError
            A region of an array.
        """
        header = read_header(data)
        if region is not None or self.is_large(header.width, header.height):
            return self.decompress_strips(data, region=region, max_pixels=max_pixels).array()
        return self._transforms.input.to_array(self._read_file(data, max_pixels))

    def decompress_many(
        self, files: Iterable[bytes], *, max_pixels: int = MAX_PIXELS
    ) -> Iterator[NDArray[Any]]:
        """Yield what `decompress` gives of each file, in order, in batches as `compress_many`."""
        opened = (self._open(data, max_pixels) for data in files)
        for window in windows(opened, _pixels, together=self._transforms.decoder.takes_batches):
            yield from map(self._transforms.input.to_array, self._synthesize(window))

    def decompress_picture(
        self, data: bytes, *, region: Region | None = None, max_pixels: int = MAX_PIXELS
    ) -> Picture:
        """Return the picture with its metadata; parameters and errors are those of `decompress`.

        ImageError if the file holds an array.
        """
        header = read_header(data)
        if region is not None or self.is_large(header.width, header.height):
            return self.decompress_strips(data, region=region, max_pixels=max_pixels).picture()
        return picture_in(self._read_file(data, max_pixels))

    def decompress_strips(
        self, data: bytes, *, region: Region | None = None, max_pixels: int = MAX_PIXELS
    ) -> Strips:
        """Return the picture some rows at a time; parameters and errors are of `decompress`.

        What is wrong with the file is raised here, before the first row. Of a large picture no
        more than two rows of tiles are in memory, beside two bytes for each of its latents.
        """
        return self._strips(self._open(data, max_pixels), region)

    def decode_strips(self, latents: Latents, *, region: Region | None = None) -> Strips:
        """Return what `decompress_strips` does, of latents; the errors are those of `decode`."""
        coded = restore(latents, self.bundle, self._prior, self._transforms.input)
        return self._strips((latents, coded), region)

    def is_large(self, width: int, height: int) -> bool:
        """Return whether pictures of this size, in pixels, are worked on in tiles."""
        return self._transforms.is_large(height, width)

    def check_plain(self) -> None:
        """Raise BundleError unless latents can be decoded by themselves, in a plain autoencoder."""
        self._autoencoder.check_plain()

    def check_coding_id(self, coding_id: bytes) -> None:
        """Raise BundleError unless files with this coding id were made for this bundle."""
        check_coding_id(coding_id, self.bundle)

    def _read_file(self, data: bytes, max_pixels: int) -> Source:
        return self._synthesize([self._open(data, max_pixels)])[0]

    def _open(self, data: bytes, max_pixels: int) -> Opened:
        input = self._transforms.input
        container = open_container(data, self.bundle, input, max_pixels=max_pixels)
        return exact_picture(container) or unpack(container, self._prior, input)

    def _strips(self, opened: Opened, region: Region | None) -> Strips:
        label = Label.of(opened if isinstance(opened, Picture) else opened[0])
        if label.mode == ARRAY_MODE:
            raise ImageError("the file holds an array and no picture; it has no rows of pixels")
        crop = crop_of(region, label.width, label.height)
        if isinstance(opened, Picture) or not self.is_large(label.width, label.height):
            picture = picture_in(self._synthesize([opened])[0])
            return strips_of(picture.part(crop.rows, crop.columns))
        latents, coded = opened
        rows = self._rows(coded.y_hat, latents, crop)
        alpha = None if label.alpha is None else label.alpha[crop.rows, crop.columns]
        return Strips(
            crop.width, crop.height, label.mode, _with_alpha(rows, alpha), label.icc, label.exif
        )

    def _rows(
        self, y_hat: NDArray[np.floating], latents: Latents, crop: Crop
    ) -> Iterator[NDArray[np.uint8]]:
        decode = partial(self._transforms.strips, y_hat, latents.quality, mode=latents.mode)
        if latents.correction is None:
            return decode(crop)
        around = crop.grown(REACH, latents.width, latents.height)
        return crop.cut_rows(corrected_rows(decode(around), latents.correction), around)

    def _restore(self, latents: Latents) -> Source:
        coded = restore(latents, self.bundle, self._prior, self._transforms.input)
        return self._synthesize([(latents, coded)])[0]

    def _synthesize(self, opened: Sequence[Opened]) -> list[Source]:
        pairs = [one for one in opened if not isinstance(one, Picture)]
        made = iter(
            self._transforms.synthesize(
                [coded.y_hat for _, coded in pairs],
                [latents.quality for latents, _ in pairs],
                [latents for latents, _ in pairs],
            )
        )
        return [
            one if isinstance(one, Picture) else _corrected(next(made), one[0]) for one in opened
        ]


def _pixels(opened: Opened) -> int:
    of = opened if isinstance(opened, Picture) else opened[0]
    return of.width * of.height


def _corrected(source: Source, latents: Latents) -> Source:
    if latents.correction is None:
        return source
    picture = picture_in(source)
    return replace(picture, pixels=corrected(picture.pixels, latents.correction))


def _with_alpha(
    strips: Iterator[NDArray[np.uint8]], alpha: NDArray[np.uint8] | None
) -> Iterator[NDArray[np.uint8]]:
    """Yield rows of pixels with their share of ``alpha``, if there is any."""
    if alpha is None:
        yield from strips
        return
    top = 0
    for rows in strips:
        yield np.dstack((rows, alpha[top : top + len(rows)]))
        top += len(rows)
