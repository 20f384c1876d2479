from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from pretended_providers import Pretended
from typer.testing import CliRunner

from edgeae import graphs
from edgeae.bundle import Bundle
from edgeae.cli.app import app
from edgeae.doctor import bundles as doctor_bundles
from edgeae.doctor.bundles import bundles
from edgeae.doctor.finding import OK, WRONG, Finding, exit_code
from edgeae.doctor.installed import extras, runtimes
from edgeae.doctor.log import causes_in, said_by_runtime
from edgeae.doctor.machine import machine, processors_of_quota
from edgeae.graphs import Graph
from edgeae.known_file import KNOWN_FILE
from edgeae.manifest import Manifest

RUNTIME_FILES = ("onnxruntime/__init__.py", "onnxruntime/capi/_pybind_state.py")


def invoke(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["doctor", *arguments])
    return result.exit_code, result.stdout


def install(folder: Path, name: str, version: str, *files: str) -> None:
    """Leave in ``folder`` what pip does of a package with these files."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))


def by_name(found: list[Finding]) -> dict[str, Finding]:
    return {one.name: one for one in found}


# The command


def test_healthy_machine_and_bundle_are_exit_code_0(tiny_bundle: Path) -> None:
    code, stdout = invoke("-m", "tiny")
    lines = stdout.splitlines()
    assert code == 0
    assert any(line.startswith("ok ") and "edgeae" in line for line in lines)
    (decoded,) = (line for line in lines if "cpu fp32" in line)
    assert "tiny: symbols exact, pixels" in decoded
    assert "0 of 264 symbols otherwise" in decoded
    assert any("tiny" in line and "7 files unchanged" in line for line in lines)


def test_json_is_one_object(tiny_bundle: Path) -> None:
    code, stdout = invoke("-m", str(tiny_bundle), "--json")
    report = json.loads(stdout, parse_constant=pytest.fail)  # no Infinity, which is no JSON
    assert code == report["exit_code"] == 0
    assert {found["group"] for found in report["findings"]} == {
        "installed",
        "machine",
        "providers",
        "bundles",
    }
    (check,) = (found for found in report["findings"] if found["name"] == "cpu fp32")
    assert check["figures"]["exact"] is True
    assert check["figures"]["symbols"] == 264
    assert check["state"] == OK


def test_changed_file_of_a_bundle_is_exit_code_5(bundle_copy: Path) -> None:
    (bundle_copy / "decoder.onnx").write_bytes(b"changed")
    code, stdout = invoke("-m", str(bundle_copy))
    (line,) = (line for line in stdout.splitlines() if line.startswith("wrong"))
    assert code == 5
    assert "decoder.onnx: SHA-256 is" in line
    assert line.endswith("install the bundle again")


def test_missing_bundle_is_an_error_of_the_command() -> None:
    assert invoke("-m", "nowhere")[0] == 5


def test_provider_that_is_not_there_is_exit_code_4_with_what_to_install(tiny_bundle: Path) -> None:
    absent = next(name for name in graphs.PROVIDERS if name not in graphs.available_providers())
    code, stdout = invoke("-m", "tiny", "--provider", absent)
    (line,) = (line for line in stdout.splitlines() if line.startswith("wrong"))
    assert code == 4
    assert f"provider '{absent}' is not among those of this onnxruntime" in line


def test_auto_is_no_provider_to_examine() -> None:
    assert invoke("--provider", "auto")[0] == 2


def test_on_a_terminal_it_is_drawn_in_groups(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    app(["doctor", "-m", "tiny"], standalone_mode=False)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if line in {"installed", "machine", "providers", "bundles"}] == [
        "installed",
        "machine",
        "providers",
        "bundles",
    ]
    assert any("[plot]" in line for line in lines)


# Packages


def test_onnxruntime_from_two_packages_is_wrong(tmp_path: Path) -> None:
    install(tmp_path, "onnxruntime", "1.32.0", *RUNTIME_FILES)
    install(tmp_path, "onnxruntime-gpu", "1.31.1", *RUNTIME_FILES)
    install(tmp_path, "onnxruntime-extensions", "0.14.0", "onnxruntime_extensions/__init__.py")
    install(tmp_path, "numpy", "2.0.0", "numpy/__init__.py")
    found = runtimes([str(tmp_path)])
    twice = by_name(found)["onnxruntime"]
    assert twice.state == WRONG
    assert twice.text.startswith("onnxruntime 1.32.0 and onnxruntime-gpu 1.31.1 write into")
    assert twice.remedy.endswith(
        "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu"
    )
    assert exit_code(found) == 4


def test_one_package_is_fine_if_it_is_the_one_that_loads(tmp_path: Path) -> None:
    fine, other = tmp_path / "fine", tmp_path / "other"
    install(fine, "onnxruntime-openvino", graphs.runtime_version(), *RUNTIME_FILES)
    assert exit_code(runtimes([str(fine)])) == 0
    install(other, "onnxruntime", "1.0.0", *RUNTIME_FILES)
    left = by_name(runtimes([str(other)]))["runtime"]
    assert left.state == WRONG
    assert left.remedy == "pip install --force-reinstall --no-deps onnxruntime"


def test_onnxruntime_that_is_there_in_part_is_wrong_and_nothing_else_fails(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphs, "_onnxruntime", graphs._onnxruntime.__wrapped__)
    monkeypatch.setitem(sys.modules, "onnxruntime", ModuleType("onnxruntime"))
    code, stdout = invoke("-m", "tiny")
    assert code == 4
    assert "onnxruntime is there in part" in stdout
    assert "7 files unchanged" in stdout


def test_extras_are_read_from_the_packages_metadata() -> None:
    lines = [
        "numpy>=1.26",
        "torch>=2.6; extra == 'export'",
        'onnx>=1.17 ; python_version > "3" and extra == "export"',
        "pytest>=8; extra == 'dev'",
    ]
    assert extras(lines) == {"export": ["torch", "onnx"]}


# The machine


def test_telemetry_that_the_user_let_on_is_a_note() -> None:
    states = {
        value: by_name(list(machine({} if value is None else {"ORT_DISABLE_TELEMETRY": value})))[
            "telemetry"
        ].state
        for value in (None, "1", "0")
    }
    assert states == {None: "ok", "1": "ok", "0": "note"}


@pytest.mark.parametrize(
    ("text", "expected"), [("150000 100000\n", 1.5), ("max 100000\n", None), ("", None)]
)
def test_containers_share_of_the_processors(
    tmp_path: Path, text: str, expected: float | None
) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert processors_of_quota(tmp_path / "cpu.max") == expected
    assert processors_of_quota(tmp_path / "absent") is None


def test_small_share_of_the_processors_is_a_note(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    threads = by_name(list(machine({}, tmp_path / "cpu.max")))["threads"]
    assert threads.state == "note"
    assert threads.remedy.endswith("--threads 1")


def test_cache_folder_that_cannot_be_written_is_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert by_name(list(machine({})))["cache"].state == "note"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "new"))
    assert by_name(list(machine({})))["cache"].state == "ok"
    assert not (tmp_path / "new").exists()


def test_folder_of_the_search_path_that_is_not_there_is_a_note(tmp_path: Path) -> None:
    folders = os.pathsep.join([str(tmp_path), str(tmp_path / "gone")])
    assert by_name(list(machine({"EDGEAE_MODELS": folders})))["EDGEAE_MODELS"].text == (
        f"{tmp_path / 'gone'} is no folder"
    )


# Bundles and providers


def test_each_provider_is_tried_and_says_what_it_runs(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Pretended(monkeypatch, "cuda", "openvino")
    found = by_name(list(bundles([tiny_bundle], ["cuda", "openvino", "cpu"])))
    assert [one.state for one in found.values()] == [OK] * 4
    assert found["cuda fp32"].text.endswith("runs 6 of 6 nodes")


@pytest.mark.parametrize("trouble", ["lost", "failing", "idle"])
def test_provider_that_does_not_run_is_wrong(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    Pretended(monkeypatch, "cuda", **{trouble: ["cuda"]})  # type: ignore[arg-type]  # a name each
    found = by_name(list(bundles([tiny_bundle], ["cuda", "cpu"])))
    assert found["cuda fp32"].state == WRONG
    assert "onnxruntime-gpu[cuda,cudnn]" in found["cuda fp32"].remedy
    assert found["cpu fp32"].state == OK
    assert exit_code(found.values()) == 4


def test_provider_that_computes_something_else_is_wrong(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = Bundle.load(tiny_bundle)
    known = doctor_bundles.read_known_file(bundle)
    assert known is not None
    other = type(known)(known.file, "0" * 64, 255 - known.pixels)
    monkeypatch.setattr(doctor_bundles, "read_known_file", lambda bundle: other)
    found = by_name(list(bundles([tiny_bundle], ["cpu"])))
    assert found["cpu fp32"].state == WRONG
    assert "other symbols come out of the stored file; pixels are" in found["cpu fp32"].text


def test_bundle_without_a_known_file_says_how_to_make_one(plain_bundle: Path) -> None:
    verified, without = bundles([plain_bundle], ["cpu"])
    assert verified.state == OK
    assert without.state == "note"
    assert without.remedy.endswith(f"python -m edgeae_export.known_file {plain_bundle}")


def test_known_file_is_made_by_its_command(bundle_copy: Path) -> None:
    from edgeae_export import known_file

    before = (bundle_copy / "manifest.json").read_text()
    (bundle_copy / KNOWN_FILE).unlink()
    known_file.main([str(bundle_copy)])
    assert Manifest.from_json((bundle_copy / "manifest.json").read_text()).files.keys() == (
        Manifest.from_json(before).files.keys()
    )
    assert exit_code(bundles([bundle_copy], ["cpu"])) == 0


def test_log_of_the_runtime_is_caught(capfd: pytest.CaptureFixture[str]) -> None:
    class Loud(Graph):
        def try_session(self) -> None:
            os.write(2, b"no library")

    assert said_by_runtime(Loud("encoder", bytes)) == "no library"
    os.write(2, b"seen")
    assert capfd.readouterr().err == "seen"


def test_causes_are_found_in_the_log() -> None:
    log = (
        "\x1b[1;31m2026 [E:onnxruntime:Default, a.cc:1 f] a.cc:2 Get() [ONNXRuntimeError] : 1 : "
        "FAIL : Failed to load library p.so with error: libcublasLt.so.13: cannot open\n\x1b[m\n"
        "2026 [W:onnxruntime:Default, b.cc:3 g] Failed to create CUDAExecutionProvider.\n"
    )
    assert causes_in(log) == [
        "libcublasLt.so.13: cannot open",
        "Failed to create CUDAExecutionProvider.",
    ]
