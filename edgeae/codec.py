"""Picture to latents to bytes, and back, with the graphs and tables of one bundle.

encode: pixels -> encoder -> y -> prior (round, predict) -> symbols -> entropy coder -> container
decode: container -> entropy coder and prior -> y_hat -> decoder -> pixels
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeae.bundle import DEFAULT_MODEL, Bundle, find_bundle, graph_file
from edgeae.container import MAX_PIXELS, Container, Header
from edgeae.entropy.rans import Decoder, encode
from edgeae.errors import BundleError, ContainerError, DesyncError, GraphError, ImageError
from edgeae.graphs import Graph, default_threads
from edgeae.images.files import to_picture
from edgeae.images.padding import as_rgb, crop, pad, padded_size
from edgeae.images.picture import Picture, to_array
from edgeae.latents import Latents, round_quality, symbols_crc
from edgeae.planes import decode_plane, encode_plane
from edgeae.priors import ChannelPrior, Hyperprior, check_known_answer

if TYPE_CHECKING:
    from typing import TypeAlias

    from numpy.typing import NDArray
    from PIL.Image import Image

    from edgeae.priors import Coded, Prior

    ImageLike: TypeAlias = Picture | Image | NDArray[Any]

DEFAULT_QUALITY = 50.0


class Codec:
    """The codec of one bundle, for repeated use; `load` is the way to one.

    Sessions are made when first needed: decoding never loads the encoder. A codec may be shared by
    threads, and pickled: the copy opens the bundle anew. The hyper-decoder always runs on the CPU,
    whatever the provider, so that every machine decodes the same symbols.
    """

    def __init__(
        self, bundle: Bundle, *, provider: str = "cpu", threads: int | None = None
    ) -> None:
        self.bundle = bundle
        self.threads = default_threads() if threads is None else threads
        self._asked = (provider, threads)
        self._encoder = self._graph("encoder", provider)
        self._decoder = self._graph("decoder", provider)
        self._prior = self._open_prior(provider)

    @classmethod
    def load(
        cls,
        model: str | os.PathLike[str] = DEFAULT_MODEL,
        *,
        provider: str = "cpu",
        threads: int | None = None,
    ) -> Codec:
        """Return the codec of ``model``, a bundle's name or the path of its folder.

        Parameters
        ----------
        model : str or path
            See `edgeae.bundle.find_bundle`.
        provider : str
            "cpu", "cuda", "openvino", "coreml", or "auto" for the first that works.
        threads : int, optional
            Threads inside a graph; by default the processors this process may use.

        Raises
        ------
        BundleError
            There is no such bundle, or a file of it was changed.
        ValueError
            Unknown provider, or fewer than one thread.
        """
        return cls(Bundle.load(find_bundle(model)), provider=provider, threads=threads)

    def __reduce__(self) -> tuple[Any, ...]:
        provider, threads = self._asked
        reopen = partial(type(self).load, provider=provider, threads=threads)
        return reopen, (self.bundle.path,)

    @property
    def encoder_provider(self) -> str:
        """Provider that runs the encoder; makes its session if there is none yet."""
        return self._encoder.provider

    @property
    def decoder_provider(self) -> str:
        """Provider that runs the decoder; makes its session if there is none yet."""
        return self._decoder.provider

    def encode(self, image: ImageLike, quality: float = DEFAULT_QUALITY) -> Latents:
        """Return the latents of a picture.

        Parameters
        ----------
        image : Picture, array or Pillow image
            uint8 (H, W), (H, W, 2) grey with alpha, (H, W, 3), (H, W, 4) RGB with alpha.
        quality : float
            0..100, rounded to hundredths; higher is better and larger.

        Raises
        ------
        GraphError
            The provider cannot be used.
        ImageError
            A colour picture, and a bundle for grey ones.
        TypeError, ValueError
            Not a picture, or a quality outside 0..100.
        """
        picture, quality = to_picture(image), round_quality(quality)
        return self._latents(picture, quality, self._quantize(picture, quality))

    def decode(self, latents: Latents) -> Picture:
        """Return the picture that latents of this bundle stand for.

        Raises
        ------
        BundleError
            The latents were made with another bundle.
        ContainerError
            Their shapes do not fit the size of the picture.
        """
        self._check_latents(latents)
        coded = self._prior.restore(latents.symbols, latents.z)
        return self._render(latents, coded.y_hat)

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

    def compress(self, image: ImageLike, quality: float = DEFAULT_QUALITY) -> bytes:
        """Return the ``.eae`` file of a picture; parameters and errors are those of `encode`."""
        picture, quality = to_picture(image), round_quality(quality)
        coded = self._quantize(picture, quality)
        return self._pack(self._latents(picture, quality, coded), coded)

    def decompress(self, data: bytes, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
        """Return (H, W), (H, W, 2), (H, W, 3) or (H, W, 4) uint8; errors are of `from_bytes`."""
        return to_array(self.decompress_picture(data, max_pixels=max_pixels))

    def decompress_picture(self, data: bytes, *, max_pixels: int = MAX_PIXELS) -> Picture:
        """Return the picture with its metadata; the errors are those of `from_bytes`."""
        latents, coded = self._unpack(data, max_pixels)
        return self._render(latents, coded.y_hat)

    def check_coding_id(self, coding_id: bytes) -> None:
        """Raise BundleError unless files with this coding id were made for this bundle."""
        if coding_id != self.bundle.coding_id:
            raise BundleError(
                f"made with a bundle of coding id {coding_id.hex()}, but "
                f"{self.bundle.manifest.name} has {self.bundle.coding_id.hex()}; choose the bundle "
                f"it was made with"
            )

    def _graph(self, name: str, provider: str) -> Graph:
        read = partial(self.bundle.read, graph_file(name))
        return Graph(name, read, provider=provider, threads=self.threads)

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
        hyper_encoder = self._graph("hyper_encoder", provider)
        return Hyperprior(bundle, bundle.scale_tables, hyper_encoder, hyper_decoder)

    def _quantize(self, picture: Picture, quality: float) -> Coded:
        samples = pad(self._samples(picture), self.bundle.manifest.multiple)
        (y,) = self._encoder.run(pixels=samples[np.newaxis])
        expected, _ = self._prior.shapes(*samples.shape[:2])
        if y.shape[1:] != expected:
            raise GraphError(
                f"encoder.onnx: gives {y.shape} for pixels {samples.shape}, not "
                f"{(1, *expected)}; export the bundle again"
            )
        return self._prior.quantize(y[0], np.asarray(quality, np.float32))

    def _samples(self, picture: Picture) -> NDArray[np.uint8]:
        """Return (H, W, 1) or (H, W, 3), as the encoder takes them."""
        pixels = picture.pixels
        if self.bundle.manifest.input_channels == 3:
            return as_rgb(pixels)
        if pixels.ndim == 2:
            return pixels[..., np.newaxis]
        if (pixels == pixels[..., :1]).all():
            return pixels[..., :1]
        raise ImageError(
            f"a colour picture, but bundle {self.bundle.manifest.name} is for grey ones; convert "
            f"the picture, or choose another model"
        )

    def _latents(self, picture: Picture, quality: float, coded: Coded) -> Latents:
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
        padded = self._padded(latents.height, latents.width)
        expected, found = self._prior.shapes(*padded), (latents.symbols.shape, latents.z.shape)
        if found != expected:
            raise ContainerError(
                f"symbols and z are {found}, a picture of {latents.width}x{latents.height} has "
                f"{expected}; the latents were altered"
            )

    def _padded(self, height: int, width: int) -> tuple[int, int]:
        return padded_size(height, width, self.bundle.manifest.multiple)

    def _pack(self, latents: Latents, coded: Coded) -> bytes:
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
            alpha=None if latents.alpha is None else encode_plane(latents.alpha),
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
        decoder = Decoder(container.latents, container.lanes_log2)
        coded = self._prior.decode(decoder, *self._padded(header.height, header.width))
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

    def _render(self, latents: Latents, y_hat: NDArray[np.float32]) -> Picture:
        quality = np.asarray(latents.quality, np.float32)
        (pixels,) = self._decoder.run(y_hat=y_hat[np.newaxis], quality=quality)
        padded = self._padded(latents.height, latents.width)
        expected = (1, *padded, self.bundle.manifest.input_channels)
        if pixels.shape != expected:
            raise GraphError(
                f"decoder.onnx: gives {pixels.shape} for latents {y_hat.shape}, not {expected}; "
                f"export the bundle again"
            )
        samples = crop(pixels[0], latents.height, latents.width)
        colour = _grey(samples) if latents.mode.startswith("L") else _rgb(samples)
        return Picture(np.ascontiguousarray(colour), latents.alpha, latents.icc, latents.exif)


def _grey(samples: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (H, W) of a decoder's (H, W, 1) or (H, W, 3): the mean, docs/FORMAT.md 6.3."""
    if samples.shape[-1] == 1:
        return samples[..., 0]
    total = samples[..., 0] + samples[..., 1].astype(np.uint16) + samples[..., 2]
    return ((total + 1) // 3).astype(np.uint8)


def _rgb(samples: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (H, W, 3) of a decoder's (H, W, 1) or (H, W, 3)."""
    return np.broadcast_to(samples, (*samples.shape[:2], 3))
