from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edgeae import choices

KEY = "0" * 32


@pytest.fixture(autouse=True)
def folder(clean_cache: Path) -> Path:
    """Where choices are kept during a test; not made yet."""
    return clean_cache / "edgeae" / "choices"


def test_what_was_remembered_is_recalled() -> None:
    assert choices.recall(KEY) == {}
    choices.remember(KEY, {"precision": "int8", "threads": 2})
    assert choices.recall(KEY) == {"precision": "int8", "threads": 2}
    assert choices.recall("1" * 32) == {}


def test_later_choice_replaces_the_earlier_one(folder: Path) -> None:
    for number in range(3):
        choices.remember(KEY, {"number": number})
    assert choices.recall(KEY) == {"number": 2}
    assert [path.name for path in folder.iterdir()] == [f"{KEY}.json"]


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[1]", b"null", b"\xff\xfe", b"[" * 60_000, b'{"a": "' + bytes(70_000)]
)
def test_damaged_file_is_no_choice_and_is_written_anew(folder: Path, data: bytes) -> None:
    folder.mkdir(parents=True)
    (folder / f"{KEY}.json").write_bytes(data)
    assert choices.recall(KEY) == {}
    choices.remember(KEY, {"precision": "fp32"})
    assert choices.recall(KEY) == {"precision": "fp32"}


def test_place_that_cannot_be_read_or_written_is_no_error(folder: Path) -> None:
    folder.parent.parent.mkdir()
    folder.parent.write_text("a file where the folder should be")
    choices.remember(KEY, {"precision": "fp32"})
    assert choices.recall(KEY) == {}


def test_folder_under_the_name_is_no_error(folder: Path) -> None:
    (folder / f"{KEY}.json").mkdir(parents=True)
    choices.remember(KEY, {"precision": "fp32"})
    assert choices.recall(KEY) == {}
    assert [path.name for path in folder.iterdir()] == [f"{KEY}.json"]


def test_write_that_ends_early_leaves_the_earlier_choice(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choices.remember(KEY, {"number": 1})

    def interrupt(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", interrupt)
        with pytest.raises(KeyboardInterrupt):
            choices.remember(KEY, {"number": 2})
    assert choices.recall(KEY) == {"number": 1}
    assert [path.name for path in folder.iterdir()] == [f"{KEY}.json"]


def test_without_a_home_folder_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> Path:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.chdir(tmp_path)
    for user_cache_path in (refuse, lambda *arguments, **options: Path("~/.cache/edgeae")):
        monkeypatch.setattr("platformdirs.user_cache_path", user_cache_path)
        choices.remember(KEY, {"precision": "fp32"})
        assert choices.recall(KEY) == {}
    assert list(tmp_path.iterdir()) == []


def test_many_writers_leave_one_whole_choice(folder: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: choices.remember(KEY, {"number": n, "more": "x" * n}), range(64)))
    record = choices.recall(KEY)
    assert record["more"] == "x" * int(str(record["number"]))
    assert [path.name for path in folder.iterdir()] == [f"{KEY}.json"]
