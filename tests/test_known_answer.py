from __future__ import annotations

import hashlib

import numpy as np

from edgeae.known_answer import index_sha256, known_values


def test_known_values_are_these_on_every_machine() -> None:
    expected = [reference(7 + position) for position in range(24)]
    values = known_values(7, (2, 3, 4))
    assert values.dtype == np.int16
    assert values.reshape(-1).tolist() == expected


def test_known_values_use_their_whole_range() -> None:
    assert set(known_values(1, (2000,)).tolist()) == set(range(-12, 13))


def test_index_hash_covers_every_step_with_the_symbols_known_before_it() -> None:
    masks = np.array([[[[1, 0], [0, 1]]], [[[0, 1], [1, 0]]]], np.bool_)
    seen: list[tuple[int, np.ndarray]] = []

    def scale_indexes(z: np.ndarray, symbols: np.ndarray, step: int) -> np.ndarray:
        assert z.shape == (1, 2, 1, 1)
        seen.append((step, symbols.copy()))
        return np.full((1, 1, 4, 4), step + 1, np.uint8)

    digest = index_sha256(scale_indexes, masks, 3, (1, 2, 1, 1), 4)

    assert digest == hashlib.sha256(bytes([1] * 16 + [2] * 16)).hexdigest()
    assert [step for step, _ in seen] == [0, 1]
    checkerboard = np.tile(masks[0, 0], (2, 2))
    assert seen[0][1].tolist() == [[[[0]]]]  # nothing is known: one position for all
    assert (seen[1][1][0, 0] == np.where(checkerboard, known_values(4, (4, 4)), 0)).all()


def reference(x: int) -> int:
    x = x * 2654435761 % 2**32
    x ^= x >> 15
    x = x * 2246822519 % 2**32
    x ^= x >> 13
    return x % 25 - 12
