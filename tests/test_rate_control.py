from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeae.rate_control import (
    QUALITY_LIMIT,
    Forecast,
    TargetBpp,
    TargetPsnr,
    TargetSize,
    Window,
    corrected,
    psnr_window,
    search,
    size_window,
    solve,
)


class Meter:
    """A curve that counts how often it was asked."""

    def __init__(self, curve: Callable[[int], float]) -> None:
        self.curve = curve
        self.asked: list[int] = []

    def __call__(self, quality: int) -> float:
        self.asked.append(quality)
        return self.curve(quality)


def straight(points: Mapping[int, float]) -> Forecast:
    return corrected(lambda quality: 5 + quality / 2500, points)


def picture(quality: int) -> float:
    """Logarithm of a size: steeper at first, four times what `straight` forecasts."""
    return 6.4 + quality / 2500 + 0.4 * math.sin(quality / 3000)


@pytest.mark.parametrize("limit_bytes", [700, 1_500, 5_000, 20_000, 30_000])
def test_few_measurements_find_a_size_within_three_percent(limit_bytes: int) -> None:
    meter = Meter(picture)
    quality, value = search(meter, straight, size_window(limit_bytes))
    assert 0.97 * limit_bytes <= math.exp(value) <= limit_bytes
    assert value == picture(quality)
    assert len(meter.asked) <= 4


@given(
    limit_bytes=st.integers(1, 200_000),
    wiggle=st.floats(0, 0.3),
    period=st.integers(1, 400),
    offset=st.floats(-3, 3),
)
def test_any_curve_ends_in_the_window_or_beside_a_jump(
    limit_bytes: int, wiggle: float, period: int, offset: float
) -> None:
    def curve(quality: int) -> float:
        return 7 + offset + quality / 3000 + wiggle * math.sin(quality / period)

    meter, window = Meter(curve), size_window(limit_bytes)
    quality, value = search(meter, straight, window)
    assert len(set(meter.asked)) == len(meter.asked) <= 20
    assert value == curve(quality)
    if value > window.high:
        assert quality == 0
    elif value < window.low and quality < QUALITY_LIMIT:
        assert curve(quality + 1) > window.high


def test_jump_over_the_window_ends_below_it() -> None:
    meter = Meter(lambda quality: 1.0 if quality < 1234 else 9.0)
    assert search(meter, straight, Window(4, 5, 6)) == (1233, 1.0)


@pytest.mark.parametrize(("value", "end"), [(1.0, QUALITY_LIMIT), (9.0, 0)])
def test_curve_that_does_not_move_is_measured_at_its_end(value: float, end: int) -> None:
    meter = Meter(lambda _: value)
    assert search(meter, lambda _: lambda _: 1.0, Window(4, 5, 6)) == (end, value)
    assert len(meter.asked) <= 20


def test_known_measurements_are_not_made_again() -> None:
    window, first = size_window(5_000), Meter(picture)
    found, value = search(first, straight, window)
    known = {quality: picture(quality) for quality in first.asked}
    lower = Window(window.low, window.aim, value - 0.001)
    second = Meter(picture)
    quality, _ = search(second, straight, lower, known)
    assert quality < found
    assert not set(second.asked) & set(known)


def test_corrected_forecast_goes_through_its_points_and_a_little_beyond() -> None:
    assert corrected(float, {})(7) == 7
    assert corrected(float, {100: 103.0})(7) == 10
    forecast = corrected(float, {100: 103.0, 200: 201.0})
    assert forecast(900) - 900 == forecast(300) - 300
    assert [forecast(quality) for quality in (50, 100, 150, 200, 300)] == [54, 103, 152, 201, 299]


@pytest.mark.parametrize(("aim", "quality"), [(-5, 10), (12.4, 12), (12.6, 13), (99, 20)])
def test_solve_gives_the_nearest_quality_of_its_range(aim: float, quality: int) -> None:
    assert solve(float, aim, 10, 20) == quality


def test_psnr_window_is_a_tenth_of_a_decibel_each_way() -> None:
    window = psnr_window(35)
    assert (window.low, window.high) == pytest.approx((34.9, 35.1))


def test_bits_per_pixel_are_whole_bytes_rounded_down() -> None:
    assert TargetBpp(0.5).limit_bytes(1000) == 62
    assert TargetBpp(1e-9).limit_bytes(1000) == 1
    assert TargetSize(77).limit_bytes(1000) == 77


@pytest.mark.parametrize("size", [0, -1, 1.5, True, "20kB"])
def test_size_that_is_no_count_of_bytes_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="not an integer above 0"):
        TargetSize(size)


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_rate_or_psnr_out_of_range_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not above 0"):
        TargetBpp(value)
    with pytest.raises(ValueError, match=r"not within 0\.\.120"):
        TargetPsnr(value)
