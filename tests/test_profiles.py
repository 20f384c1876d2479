"""Profiles that say sRGB are left out of files, others are kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from edgeae.codec import Codec
from edgeae.images.files import read_picture
from edgeae.images.picture import picture_from_array
from edgeae.images.profiles import needed
from edgeae.rate_control import TargetSize

CAT = Path(__file__).parents[1] / "docs" / "pictures" / "cat.png"


@pytest.fixture(scope="module")
def wide() -> bytes:
    """Return a profile whose red and green are swapped."""
    icc = _srgb()
    places = {icc[132 + 12 * k : 136 + 12 * k]: 132 + 12 * k for k in range(_tag_count(icc))}
    red, green = (places[name] for name in (b"rXYZ", b"gXYZ"))
    swapped = bytearray(icc)
    swapped[red + 4 : red + 12] = icc[green + 4 : green + 12]
    swapped[green + 4 : green + 12] = icc[red + 4 : red + 12]
    return bytes(swapped)


@pytest.fixture
def codec(tiny_bundle: Path) -> Codec:
    return Codec.load(tiny_bundle)


def test_srgb_in_either_common_form_is_not_needed() -> None:
    commonest = read_picture(CAT).icc
    assert commonest is not None
    assert len(commonest) == 3144
    assert needed(commonest) is needed(_srgb()) is needed(None) is needed(b"") is None


def test_other_profiles_and_what_is_none_are_kept(wide: bytes) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    for icc in (wide, lab, _srgb()[:200], b"no profile"):
        assert needed(icc) == icc


def test_files_have_the_profile_only_if_it_is_needed(
    codec: Codec, photo: NDArray[np.uint8], wide: bytes
) -> None:
    bare, tagged, other = (
        codec.compress(picture_from_array(photo, icc=icc)) for icc in (None, _srgb(), wide)
    )
    assert tagged == bare
    assert codec.decompress_picture(other).icc == wide
    image = Image.fromarray(photo)
    image.info["icc_profile"] = _srgb()
    assert codec.compress(image) == bare


def test_target_size_does_not_pay_for_srgb(codec: Codec, photo: NDArray[np.uint8]) -> None:
    target = TargetSize(len(codec.compress(photo, 60)))
    tagged = codec.compress(picture_from_array(photo, icc=_srgb()), target)
    assert tagged == codec.compress(photo, target)


def test_a_stored_srgb_profile_comes_back(codec: Codec, photo: NDArray[np.uint8]) -> None:
    latents = codec.encode(photo)
    with_it = replace(latents, icc=_srgb())
    picture = codec.decompress_picture(codec.to_bytes(with_it))
    assert picture.icc == _srgb()


def _srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _tag_count(icc: bytes) -> int:
    return int.from_bytes(icc[128:132])
