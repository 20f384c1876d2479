"""`edgeae average`: weights between those of several trainings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from edgeae.cli.app import app
from edgeae.errors import BoundError, BundleError
from edgeae_export.average import average
from edgeae_export.card import card
from edgeae_export.checkpoint import Checkpoint, Progress
from edgeae_export.recipe import Recipe
from edgeae_export.starts import load_start
from export.recipes import photo_recipe

pytestmark = pytest.mark.torch

TINY = photo_recipe()


def checkpoint(value: float, steps: int = 5) -> Checkpoint[Recipe]:
    tensors = {
        "model.w": torch.full((2, 3), value),
        "average.w": torch.full((2, 3), value + 1),
        "first.w": torch.full((2, 3), value + 2),
    }
    return Checkpoint(TINY, Progress(steps, 90.0, 1.0), tensors, {"data": f"photos-{value:g}"})


def test_weights_are_shared_out_and_the_rest_is_of_the_first() -> None:
    parts = [checkpoint(0.0), checkpoint(10.0), checkpoint(100.0)]
    found = average(parts, (0.5, 0.25, 0.25))
    assert torch.equal(found.tensors["model.w"], torch.full((2, 3), 27.5))
    assert torch.equal(found.tensors["average.w"], torch.full((2, 3), 28.5))
    assert torch.equal(found.tensors["first.w"], parts[0].tensors["first.w"])
    assert (found.recipe, found.progress) == (parts[0].recipe, parts[0].progress)
    assert found.history["data"] == "photos-0"
    assert torch.equal(parts[0].tensors["model.w"], torch.zeros(2, 3))


def test_share_of_all_is_the_first() -> None:
    found = average([checkpoint(3.0), checkpoint(5.0)], (1.0, 0.0))
    assert torch.equal(found.tensors["average.w"], checkpoint(3.0).tensors["average.w"])


@pytest.mark.parametrize("count", [3, 6, 7, 9])
def test_shares_that_the_provenance_names_can_be_given_again(count: int) -> None:
    parts = [checkpoint(float(number)) for number in range(count)]
    named = average(parts, [1 / count] * count).history["shares"]
    again = average(parts, [float(share) for share in named.split()])
    torch.testing.assert_close(
        again.tensors["average.w"], checkpoint((count - 1) / 2).tensors["average.w"]
    )


@pytest.mark.parametrize(
    ("parts", "shares", "what"),
    [
        ([checkpoint(1.0)], (1.0,), "two checkpoints or more"),
        ([checkpoint(1.0), checkpoint(2.0)], (1.0,), "2 checkpoints and 1 shares"),
        ([checkpoint(1.0), checkpoint(2.0)], (0.5, 0.6), "0.5 0.6 do not add up"),
        ([average([checkpoint(1.0)] * 2, (0.5, 0.5)), checkpoint(2.0)], (0.5, 0.5), "its parts"),
    ],
)
def test_shares_that_do_not_fit_are_refused(
    parts: list[Checkpoint[Any]], shares: tuple[float, ...], what: str
) -> None:
    with pytest.raises(BoundError, match=what):
        average(parts, shares)


@pytest.mark.parametrize(
    "tensors", [{"model.w": torch.zeros(3, 2)}, {"model.v": torch.zeros(1)}], ids=["shape", "name"]
)
def test_another_network_is_refused(tensors: dict[str, torch.Tensor]) -> None:
    one = checkpoint(1.0)
    other = replace(one, tensors=one.tensors | tensors)
    for parts in ([one, other], [other, one]):
        with pytest.raises(BundleError, match=r"model\.[vw] is "):
            average(parts, (0.5, 0.5))


def test_card_says_how_to_average_again() -> None:
    found = average([checkpoint(1.0), checkpoint(2.0, 7), checkpoint(3.0, 8)], (0.5, 0.3, 0.2))
    training = {
        **found.history,
        "init": "photo-m",
        "minutes": 2,
        "recipe": {"name": "photo-m"},
        "bounds": {},
    }
    text = card("photo", "", training, ())
    command = (
        "edgeae average run/checkpoint.safetensors OTHER --share 0.5 --share 0.3 --share 0.2 "
        "-o averaged.safetensors\n    edgeae export averaged.safetensors --data PICTURES"
    )
    assert command in text
    assert f"{TINY.name}, 7 steps, 2 minutes; {TINY.name}, 8 steps, 2 minutes." in text
    assert "average" not in card(
        "photo", "", {k: training[k] for k in ("minutes", "recipe", "bounds")}, ()
    )


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["average", *map(str, arguments)])
    return result.exit_code, " ".join(result.output.split())


def test_command_averages_a_checkpoint_and_a_bundle(tmp_path: Path) -> None:
    bundle = load_start("photo-s")
    first = tmp_path / "first.safetensors"
    moved = {k: t + 1 for k, t in bundle.tensors.items()}
    replace(bundle, tensors=moved, history={}).save(first)
    out = tmp_path / "averaged.safetensors"
    code, output = run(first, "photo-s", "-o", out, "--share", "0.75", "--share", "0.25")
    assert code == 0, output
    assert "edgeae export" in output
    found = Checkpoint.load(out)
    name = "average.codec.decoder.tail.bias"
    assert torch.allclose(found.tensors[name], bundle.tensors[name] + 0.75)
    assert "from bundle photo-s, coding id " in found.history["averaged with"]
    code, output = run(first, "photo-s", "-o", out)
    assert code == 7
    assert "exists" in output


def test_command_shares_equally_if_not_told(tmp_path: Path) -> None:
    for name, value in (("a", 1.0), ("b", 2.0), ("c", 6.0)):
        checkpoint(value).save(tmp_path / f"{name}.safetensors")
    out = tmp_path / "averaged.safetensors"
    parts = [tmp_path / f"{name}.safetensors" for name in "abc"]
    assert run(*parts, "-o", out)[0] == 0
    assert torch.allclose(Checkpoint.load(out).tensors["model.w"], torch.full((2, 3), 3.0))
    code, output = run(parts[0], "-o", tmp_path / "one.safetensors")
    assert code == 8
    assert "two checkpoints or more" in output
