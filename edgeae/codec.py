"""Picture to latents to bytes, and back, with the graphs and tables of one bundle.

encode: pixels -> encoder -> y -> prior (round, predict) -> symbols -> entropy coder -> container
decode: container -> entropy coder and prior -> y_hat -> decoder -> pixels
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeae.batches import alike, windows, windows_of
from edgeae.bundle import DEFAULT_MODEL, FP32, INT8, Bundle, find_bundle, graph_file
from edgeae.container import MAX_PIXELS, Container, Header, fixed_bytes
from edgeae.entropy.rans import Decoder, encode
from edgeae.errors import (
    BoundError,
    BundleError,
    ContainerError,
    DesyncError,
    GraphError,
    ImageError,
)
from edgeae.graphs import Graph, default_threads
from edgeae.images.picture import Picture
from edgeae.inputs import INPUTS, Input
from edgeae.latents import Latents, round_quality, symbols_crc
from edgeae.planes import decode_plane, encode_plane
from edgeae.precision import AUTO, check_precision, open_graph
from edgeae.priors import ChannelPrior, Hyperprior, check_known_answer
from edgeae.rate_control import TargetBpp, TargetPsnr, TargetSize
from edgeae.tiles import fits_one_tile, run_in_tiles
from edgeae.trials import Trials

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import TypeAlias

    from numpy.typing import NDArray
    from PIL.Image import Image

    from edgeae.arrays import FloatArray
    from edgeae.inputs import Source
    from edgeae.priors import Coded, Prior
    from edgeae.rate_control import Target
    from edgeae.trials import Reached, Render

    ImageLike: TypeAlias = Picture | FloatArray | Image | NDArray[Any]

DEFAULT_QUALITY = 50.0
LOG_VARIANCE = "log_variance"  # a variational encoder's second output, in the network's units
EFFORTS = (0, 1, 2)
DEFAULT_EFFORT = 1


@dataclass(frozen=True, slots=True, eq=False)
class Encoding:
    """The latents of a picture and how a target was met; `Codec.file_of` makes the file."""

    latents: Latents
    coded: Coded
    effort: int
    file: bytes | None = None  # if it was needed already, to know its size
    psnr_db: float | None = None  # of the decoded picture, for a `TargetPsnr`
    note: str | None = None  # for the user


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
        check_precision(bundle, precision)
        self.bundle = bundle
        self.threads = default_threads() if threads is None else threads
        self._asked: dict[str, Any] = {
            "provider": provider,
            "precision": precision,
            "threads": threads,
        }
        self._encoder, self._decoder = (
            open_graph(bundle, name, precision=precision, provider=provider, threads=self.threads)
            for name in ("encoder", "decoder")
        )
        self._prior = self._open_prior(provider)
        self._input: Input = INPUTS[bundle.manifest.input](bundle.manifest)

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

    @property
    def encoder_provider(self) -> str:
        """Provider that runs the encoder; makes its session if there is none yet."""
        return self._encoder.provider

    @property
    def decoder_provider(self) -> str:
        """Provider that runs the decoder; makes its session if there is none yet."""
        return self._decoder.provider

    @property
    def encoder_precision(self) -> str:
        """Precision that runs the encoder; "auto" measures here if it must."""
        return self._encoder.precision

    @property
    def decoder_precision(self) -> str:
        """Precision that runs the decoder; "auto" measures here if it must."""
        return self._decoder.precision

    @property
    def precision(self) -> str:
        """What runs: "int8" if that is the precision of encoder or decoder, else "fp32"."""
        return INT8 if INT8 in (self.encoder_precision, self.decoder_precision) else FP32

    @property
    def _units(self) -> NDArray[np.float32]:
        """One step of each channel of y in the network's own units, (C, 1, 1)."""
        steps = self.bundle.manifest.latent_step
        channels = self.bundle.manifest.latent_channels
        return np.array(steps or [1.0] * channels, np.float32).reshape(-1, 1, 1)

    @property
    def takes_batches(self) -> bool:
        """Whether the encoder runs several pictures of equal size at once."""
        return self._encoder.takes_batches

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
            0 rounds to the nearest, 1 where it is cheapest, 2 tries more; larger is slower.

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
        return self.reach(image, quality, effort=effort).latents

    def reach(
        self,
        image: ImageLike,
        quality: float | Target = DEFAULT_QUALITY,
        *,
        effort: int = DEFAULT_EFFORT,
    ) -> Encoding:
        """Return what `encode` and `compress` do, with how a target was met."""
        if effort not in EFFORTS:
            raise ValueError(f"effort {effort} is not one of {list(EFFORTS)}")
        if not isinstance(quality, TargetSize | TargetBpp | TargetPsnr):
            return self.reach_many([image], quality, effort=effort)[0]
        picture = self._input.read(image)
        if not isinstance(picture, Picture) or self.bundle.manifest.fixed_size is not None:
            raise BoundError(
                f"bundle {self.bundle.manifest.name} has one quality, so it cannot come to a "
                f"target; leave the target out, or choose another model"
            )
        trials = Trials(self._analyse(picture), self._prior, effort, self.bundle.manifest)
        if isinstance(quality, TargetPsnr):
            reached = trials.reach_psnr(quality.psnr_db, picture.pixels, self._renderer(picture))
        else:
            reached = self._reach_size(picture, quality, trials)
        return Encoding(
            latents=self._latents(picture, reached.quality / 100, reached.coded),
            coded=reached.coded,
            effort=effort,
            file=reached.file,
            psnr_db=reached.psnr_db,
            note=reached.note,
        )

    def reach_many(
        self,
        images: Sequence[ImageLike],
        quality: float = DEFAULT_QUALITY,
        *,
        effort: int = DEFAULT_EFFORT,
    ) -> list[Encoding]:
        """Return what `reach` does of each; those of equal size run as one batch if they can."""
        if effort not in EFFORTS:
            raise ValueError(f"effort {effort} is not one of {list(EFFORTS)}")
        quality = round_quality(quality)
        level = np.asarray(quality, np.float32)
        sources = [self._input.read(image) for image in images]
        encodings = []
        for source, y in zip(sources, self._analyse_all(sources), strict=True):
            coded = self._prior.quantize(y, level, effort)
            encodings.append(Encoding(self._latents(source, quality, coded), coded, effort))
        return encodings

    def decode(self, latents: Latents) -> Picture:
        """Return the picture that latents of this bundle stand for.

        Raises
        ------
        BundleError
            The latents were made with another bundle.
        ContainerError
            Their shapes do not fit the size of the picture.
        """
        return _picture(self._restore(latents))

    def decode_array(self, latents: Latents) -> NDArray[Any]:
        """Return what `decompress` does, of latents; the errors are those of `decode`."""
        return self._input.to_array(self._restore(latents))

    def to_bytes(self, latents: Latents) -> bytes:
        """Return the ``.eae`` file of latents; the errors are those of `decode`."""
        self._check_latents(latents)
        return self._pack(latents, self._prior.restore(latents.symbols, latents.z))

    def from_bytes(self, data: bytes, *, max_pixels: int = MAX_PIXELS) -> Latents:
        """Return the latents in an ``.eae`` file.

        Raises
        ------
        BundleError
            The file was made with another bundle.
        ContainerError
            The file is damaged, too new, or larger than ``max_pixels``.
        """
        return self._unpack(data, max_pixels)[0]

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
        return encoding.file or self._pack(encoding.latents, encoding.coded)

    def embed(self, images: Iterable[ImageLike]) -> Iterator[NDArray[np.float32]]:
        """Yield the latents (C, h, w) of each picture before rounding, in the network's own units.

        In steps of y if the bundle has no ``latent_step``. Batches are as of `compress_many`,
        errors as of `encode`.
        """
        sources = (self._input.read(image) for image in images)
        for window in windows(sources, _values, together=self._encoder.takes_batches):
            for y in self._analyse_all(window):
                yield y * self._units

    def posterior(
        self, images: Iterable[ImageLike]
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32] | None]]:
        """Yield `embed`'s latents (C, h, w) with their standard deviations, in the same units.

        The deviations are None unless the encoder is a variational one, with a second output
        ``log_variance``.
        """
        sources = (self._input.read(image) for image in images)
        for window in windows(sources, _values, together=self._encoder.takes_batches):
            for y, log_variance in self._posterior_all(window):
                deviation = None if log_variance is None else np.exp(0.5 * log_variance)
                yield y * self._units, deviation

    def reconstruct(self, images: Iterable[ImageLike]) -> Iterator[Source]:
        """Yield decoder(encoder(x)) of each, without rounding: what a denoiser is for.

        Alpha and metadata stay. Small pictures run in batches as of `compress_many`. Large ones run
        in tiles, whose result differs by at most one level from that of the whole picture, if the
        bundle says how far a pixel sees (``halo``). Errors are those of `encode` and of
        `check_plain`.
        """
        self.check_plain()
        sources = (self._input.read(image) for image in images)
        for window in windows(sources, _values, together=self._encoder.takes_batches):
            large = [self._needs_tiles(source) for source in window]
            small = [source for source, tiled in zip(window, large, strict=True) if not tiled]
            at_once = iter(self._reconstruct_all(small))
            for source, tiled in zip(window, large, strict=True):
                yield self._reconstruct_tiled(source) if tiled else next(at_once)

    def decode_like(self, latents: NDArray[np.float32], source: Source) -> list[Source]:
        """Return what the decoder makes of latents (n, C, h, w), as pictures like ``source``.

        Of its size, grey or RGB as it is, and with its alpha and metadata. Units and errors are
        those of `generate`.
        """
        height, width, mode = source.height, source.width, source.mode
        return [
            self._input.finish(self._input.cut(pixels, height, width, mode), source)
            for pixels in self.generate(latents)
        ]

    def read(self, image: ImageLike) -> Source:
        """Return what `compress` makes of its argument first; the errors are those of `encode`."""
        return self._input.read(image)

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
        self.check_plain()
        manifest = self.bundle.manifest
        y_hat = np.asarray(latents / self._units, np.float32)
        level = np.asarray(DEFAULT_QUALITY, np.float32)
        values = math.prod(manifest.fixed_size or y_hat.shape[2:])
        if manifest.fixed_size is None:
            values *= manifest.stride**2
        pieces = windows_of(y_hat, values, together=self._decoder.takes_batches)
        return np.concatenate([self._decoder.run(y_hat=y, quality=level)[0] for y in pieces])

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
        sources = (self._input.read(image) for image in images)
        together = self._encoder.takes_batches
        for window in windows(sources, _values, together=together):
            yield from map(self.file_of, self.reach_many(window, quality, effort=effort))

    def decompress(self, data: bytes, *, max_pixels: int = MAX_PIXELS) -> NDArray[Any]:
        """Return (H, W), (H, W, 2), (H, W, 3) or (H, W, 4) uint8; errors are of `from_bytes`.

        Of a bundle whose input is "array", float32 of its shape.
        """
        latents, coded = self._unpack(data, max_pixels)
        return self._input.to_array(self._render([latents], [coded.y_hat])[0])

    def decompress_many(
        self, files: Iterable[bytes], *, max_pixels: int = MAX_PIXELS
    ) -> Iterator[NDArray[Any]]:
        """Yield what `decompress` gives of each file, in order, in batches as `compress_many`."""
        unpacked = (self._unpack(data, max_pixels) for data in files)
        together = self._decoder.takes_batches
        for window in windows(
            unpacked, lambda pair: pair[0].width * pair[0].height, together=together
        ):
            latents, coded = zip(*window, strict=True)
            yield from map(
                self._input.to_array, self._render(latents, [one.y_hat for one in coded])
            )

    def decompress_picture(self, data: bytes, *, max_pixels: int = MAX_PIXELS) -> Picture:
        """Return the picture with its metadata; the errors are those of `from_bytes`.

        ImageError if the file holds an array.
        """
        latents, coded = self._unpack(data, max_pixels)
        return _picture(self._render([latents], [coded.y_hat])[0])

    def check_plain(self) -> None:
        """Raise BundleError unless latents can be decoded by themselves, in a plain autoencoder."""
        if not self.bundle.manifest.plain:
            raise BundleError(
                f"bundle {self.bundle.manifest.name} has hyper-latents, without which its latents "
                f"cannot be decoded; choose a plain autoencoder"
            )

    def check_coding_id(self, coding_id: bytes) -> None:
        """Raise BundleError unless files with this coding id were made for this bundle."""
        if coding_id != self.bundle.coding_id:
            raise BundleError(
                f"made with a bundle of coding id {coding_id.hex()}, but "
                f"{self.bundle.manifest.name} has {self.bundle.coding_id.hex()}; choose the bundle "
                f"it was made with"
            )

    def _open_prior(self, provider: str) -> Prior:
        bundle = self.bundle
        if bundle.scale_tables is None:
            return ChannelPrior(bundle)
        hyper_decoder = Graph(
            "hyper_decoder",
            partial(bundle.read, graph_file("hyper_decoder")),
            threads=self.threads,
            self_test=partial(check_known_answer, bundle),
        )
        read = partial(bundle.read, graph_file("hyper_encoder"))
        hyper_encoder = Graph("hyper_encoder", read, provider=provider, threads=self.threads)
        return Hyperprior(
            bundle, bundle.scale_tables, hyper_encoder, hyper_decoder, self._reanalyse
        )

    def _reach_size(
        self, picture: Picture, target: TargetSize | TargetBpp, trials: Trials
    ) -> Reached:
        plane = None if picture.alpha is None else encode_plane(picture.alpha)
        sections = [section for section in (plane, picture.icc, picture.exif) if section]
        limit = target.limit_bytes(picture.width * picture.height)
        fixed = fixed_bytes(picture.width, picture.height, limit, sections)

        def write(quality: int, coded: Coded) -> bytes:
            return self._pack(self._latents(picture, quality / 100, coded), coded, plane)

        return trials.reach_size(limit, fixed, write)

    def _renderer(self, picture: Picture) -> Render:
        def render(
            y_hat: NDArray[np.float32], quality: int, height: int, width: int
        ) -> NDArray[np.uint8]:
            level = np.asarray(quality / 100, np.float32)
            pixels = self._synthesize(y_hat[np.newaxis], level, height, width)[0]
            return self._input.cut(pixels, height, width, picture.mode)

        return render

    def _analyse(self, source: Source) -> NDArray[np.float32]:
        """Return the latents (C, h, w) before rounding."""
        return self._analyse_all([source])[0]

    def _analyse_all(self, sources: Sequence[Source]) -> list[NDArray[np.float32]]:
        """Return the latents (C, h, w) of each before rounding."""
        return [y for y, _ in self._posterior_all(sources)]

    def _posterior_all(
        self, sources: Sequence[Source]
    ) -> list[tuple[NDArray[np.float32], NDArray[np.float32] | None]]:
        """Return the latents (C, h, w) of each before rounding, and their log-variances if any."""
        samples = [self._input.samples(source) for source in sources]
        found: dict[int, tuple[NDArray[np.float32], NDArray[np.float32] | None]] = {}
        for positions in alike(samples, together=self._encoder.takes_batches):
            pixels = np.stack([samples[position] for position in positions])
            outputs = self._encoder.run_all(pixels=pixels)
            first = sources[positions[0]]
            shape, _ = self._prior.shapes(*self._input.padded(first.height, first.width))
            expected = (len(positions), *shape)
            y, log_variance = outputs["y"], outputs.get(LOG_VARIANCE)
            for output in (y, log_variance):
                if output is not None and output.shape != expected:
                    raise GraphError(
                        f"{self._encoder.file}: gives {output.shape} for pixels {pixels.shape}, "
                        f"not {expected}; export the bundle again"
                    )
            for row, position in enumerate(positions):
                found[position] = (y[row], None if log_variance is None else log_variance[row])
        return [found[position] for position in range(len(sources))]

    def _needs_tiles(self, source: Source) -> bool:
        manifest = self.bundle.manifest
        known = manifest.halo is not None and manifest.fixed_size is None
        return known and not fits_one_tile(source.height, source.width)

    def _reconstruct_tiled(self, source: Source) -> Source:
        picture, manifest = _picture(source), self.bundle.manifest

        def work(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
            return _picture(self._reconstruct_all([Picture(pixels)])[0]).pixels

        halo = manifest.halo or 0
        pixels = run_in_tiles(picture.pixels, work, multiple=manifest.multiple, halo=halo)
        return replace(picture, pixels=pixels, notes=())

    def _reconstruct_all(self, sources: Sequence[Source]) -> list[Source]:
        """Return what the decoder makes of the encoder's output for each."""
        ys = self._analyse_all(sources)
        level = np.asarray(DEFAULT_QUALITY, np.float32)
        found: dict[int, Source] = {}
        for positions in alike(ys, together=self._decoder.takes_batches):
            first = sources[positions[0]]
            batch = np.stack([ys[position] for position in positions])
            pixels = self._synthesize(batch, level, first.height, first.width)
            for position, one in zip(positions, pixels, strict=True):
                of = sources[position]
                cut = self._input.cut(one, of.height, of.width, of.mode)
                found[position] = self._input.finish(cut, of)
        return [found[position] for position in range(len(sources))]

    def _reanalyse(
        self, y_hat: NDArray[np.float32], quality: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return the latents (C, h, w) of the picture that ``y_hat`` (C, h, w) decodes to."""
        (pixels,) = self._decoder.run(y_hat=y_hat[np.newaxis], quality=quality)
        (y,) = self._encoder.run(pixels=pixels)
        if y.shape[1:] != y_hat.shape:
            raise GraphError(
                f"{self._decoder.file}: gives {pixels.shape} for latents {y_hat.shape}, of which "
                f"the encoder makes {y.shape}; export the bundle again"
            )
        latents: NDArray[np.float32] = y[0]
        return latents

    def _latents(self, picture: Source, quality: float, coded: Coded) -> Latents:
        return Latents(
            symbols=coded.symbols,
            z=coded.z,
            width=picture.width,
            height=picture.height,
            mode=picture.mode,
            quality=quality,
            coding_id=self.bundle.coding_id,
            alpha=picture.alpha,
            icc=picture.icc or None,
            exif=picture.exif or None,
        )

    def _check_latents(self, latents: Latents) -> None:
        self.check_coding_id(latents.coding_id)
        self._input.check(latents.height, latents.width, latents.mode)
        padded = self._input.padded(latents.height, latents.width)
        expected, found = self._prior.shapes(*padded), (latents.symbols.shape, latents.z.shape)
        if found != expected:
            raise ContainerError(
                f"symbols and z are {found}, a picture of {latents.width}x{latents.height} has "
                f"{expected}; the latents were altered"
            )

    def _pack(self, latents: Latents, coded: Coded, plane: bytes | None = None) -> bytes:
        if latents.alpha is not None and plane is None:
            plane = encode_plane(latents.alpha)
        payload, lanes_log2 = encode(coded.sections)
        header = Header(
            coding_id=latents.coding_id,
            width=latents.width,
            height=latents.height,
            mode=latents.mode,
            quality=latents.quality_hundredths,
            steps=len(self.bundle.masks),
        )
        container = Container(
            header=header,
            latents=payload,
            lanes_log2=lanes_log2,
            symbols_crc=latents.crc,
            alpha=plane,
            icc=latents.icc,
            exif=latents.exif,
        )
        return container.to_bytes()

    def _unpack(self, data: bytes, max_pixels: int) -> tuple[Latents, Coded]:
        container = Container.from_bytes(data, max_pixels=max_pixels)
        header = container.header
        self.check_coding_id(header.coding_id)
        if header.steps != len(self.bundle.masks):
            raise ContainerError(
                f"coded in {header.steps} steps, bundle {self.bundle.manifest.name} has "
                f"{len(self.bundle.masks)}; the header was altered"
            )
        self._input.check(header.height, header.width, header.mode)
        decoder = Decoder(container.latents, container.lanes_log2)
        coded = self._prior.decode(decoder, *self._input.padded(header.height, header.width))
        crc = symbols_crc(coded.z, coded.symbols)
        if crc != container.symbols_crc:
            raise DesyncError(
                f"section latents: symbols have CRC-32 {crc:08x}, the file says "
                f"{container.symbols_crc:08x}; the file is damaged, or this machine computes "
                f"other scale indexes than the one that wrote it"
            )
        alpha = container.alpha
        plane = None if alpha is None else decode_plane(alpha, header.height, header.width)
        latents = Latents(
            symbols=coded.symbols,
            z=coded.z,
            width=header.width,
            height=header.height,
            mode=header.mode,
            quality=header.quality / 100,
            coding_id=header.coding_id,
            alpha=plane,
            icc=container.icc,
            exif=container.exif,
        )
        return latents, coded

    def _restore(self, latents: Latents) -> Source:
        self._check_latents(latents)
        coded = self._prior.restore(latents.symbols, latents.z)
        return self._render([latents], [coded.y_hat])[0]

    def _render(
        self, latents: Sequence[Latents], y_hats: Sequence[NDArray[np.float32]]
    ) -> list[Source]:
        """Return what each of ``y_hats`` (C, h, w) decodes to; ``latents`` say all but that."""
        found: dict[int, Source] = {}
        for positions in alike(y_hats, together=self._decoder.takes_batches):
            for alike_in_all in _same_form(latents, positions):
                first = latents[alike_in_all[0]]
                level = np.asarray(first.quality, np.float32)
                batch = np.stack([y_hats[position] for position in alike_in_all])
                pixels = self._synthesize(batch, level, first.height, first.width)
                for position, one in zip(alike_in_all, pixels, strict=True):
                    of = latents[position]
                    cut = self._input.cut(one, of.height, of.width, of.mode)
                    found[position] = self._input.finish(cut, of)
        return [found[position] for position in range(len(latents))]

    def _synthesize(
        self, y_hat: NDArray[np.float32], quality: NDArray[np.float32], height: int, width: int
    ) -> NDArray[Any]:
        """Return the decoder's output for y_hat (n, C, h, w), padded."""
        (pixels,) = self._decoder.run(y_hat=y_hat, quality=quality)
        padded = self._input.padded(height, width)
        expected = (len(y_hat), *self.bundle.manifest.pixels_shape(*padded))
        if pixels.shape != expected:
            raise GraphError(
                f"{self._decoder.file}: gives {pixels.shape} for latents {y_hat.shape}, not "
                f"{expected}; export the bundle again"
            )
        return pixels


def _same_form(latents: Sequence[Latents], positions: Sequence[int]) -> Iterable[list[int]]:
    """Return positions apart by quality: the decoder takes one for a whole batch."""
    groups: dict[float, list[int]] = {}
    for position in positions:
        groups.setdefault(latents[position].quality, []).append(position)
    return groups.values()


def _values(source: Source) -> int:
    return source.width * source.height


def _picture(source: Source) -> Picture:
    if not isinstance(source, Picture):
        raise ImageError("the file holds an array and no picture; write it to a .npy file")
    return source
