"""The halo of the photo codec is what its layers say; less than that is found out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgeae.errors import BoundError
from edgeae_export.halo import check_halo, photo_halo
from edgeae_export.photo_graphs import photo_graphs
from export.random_codec import SMALL, random_model


def test_each_block_sees_one_position_farther() -> None:
    assert photo_halo(SMALL) == 8 + 2 * 16
    assert photo_halo(replace(SMALL, encoder_blocks8=9)) == 9 * 8 + 16
    assert photo_halo(replace(SMALL, decoder_blocks16=0, encoder_blocks8=0)) == 8 + 16
    assert photo_halo(replace(SMALL, decoder_blocks8=8, decoder_blocks16=6)) == 160


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_tiles_with_that_halo_are_the_whole(steps: int) -> None:
    shape = replace(SMALL, steps=steps)
    check_halo(photo_graphs(random_model(shape).codec), photo_halo(shape), steps)


def test_less_is_found_out() -> None:
    with pytest.raises(BoundError, match=r"^y: a tile with 0 pixels around it is off by \d"):
        check_halo(photo_graphs(random_model().codec), 0, SMALL.steps)
