"""`edgeae web`: the folder, the server, and the page itself in Node and in Chromium."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from edgeae.bundle import coding_id
from edgeae.cli.app import app
from edgeae.codec import Codec
from edgeae.web import server

ROOT = Path(__file__).parents[1]
WEB = ROOT / "web"
GOLDEN = ROOT / "tests" / "portability" / "golden"
RUNTIME_FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
PIXEL_BOUND = 1  # levels that WebAssembly's float32 may differ from another machine's
SIZE_BOUND = 0.01  # of a file: an encoder may round a few latents otherwise
PATIENCE_S = 1800

node = shutil.which("node")
chromium = os.environ.get("EDGEAE_CHROMIUM") or shutil.which("chromium")
installed = (WEB / "node_modules" / "onnxruntime-web").is_dir()
needs_node = pytest.mark.skipif(
    node is None or not installed, reason="node is absent, or npm ci was not run in web/"
)
needs_chromium = pytest.mark.skipif(chromium is None, reason="chromium is not installed")


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """A folder with files named as those of onnxruntime-web."""
    folder = tmp_path / "onnxruntime-web"
    (folder / "dist").mkdir(parents=True)
    for name in RUNTIME_FILES:
        (folder / "dist" / name).write_bytes(name.encode())
    return folder


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["web", *map(str, arguments)])
    return result.exit_code, result.output


def test_folder_holds_page_runtime_and_models(
    tmp_path: Path, tiny_bundle: Path, runtime: Path
) -> None:
    page = tmp_path / "page"
    code, text = run(page, "-m", tiny_bundle, "--runtime", runtime)
    assert code == 0, text
    assert (page / "runtime" / RUNTIME_FILES[0]).read_text() == RUNTIME_FILES[0]
    (entry,) = json.loads((page / "models" / "models.json").read_text())
    manifest = json.loads((page / "models" / entry["name"] / "manifest.json").read_text())
    assert entry["coding_id"] == manifest["coding_id"]
    for name in ("tables.npz", "decoder.onnx", "hyper_decoder.onnx"):
        data = (page / "models" / entry["name"] / name).read_bytes()
        assert hashlib.sha256(data).hexdigest() == manifest["files"][name]
    html = (page / "index.html").read_text(encoding="utf-8")
    for name in re.findall(r'(?:src|href)="([^"]+)"', html):
        assert (page / name).is_file(), name


def test_existing_folder_needs_force(tmp_path: Path, tiny_bundle: Path, runtime: Path) -> None:
    arguments = (tmp_path / "page", "-m", tiny_bundle, "--runtime", runtime)
    assert run(*arguments)[0] == 0
    code, text = run(*arguments)
    assert code == 7
    assert "overwrite" in text
    assert run(*arguments, "-f")[0] == 0


def test_absent_runtime_names_the_npm_command(tmp_path: Path, tiny_bundle: Path) -> None:
    code, text = run(tmp_path / "page", "-m", tiny_bundle, "--runtime", tmp_path)
    assert code == 10
    assert "npm install --ignore-scripts onnxruntime-web@" in text
    assert not (tmp_path / "page").exists()


def test_version_of_the_runtime_is_the_locked_one(tmp_path: Path) -> None:
    lock = json.loads((WEB / "package-lock.json").read_text())
    version = lock["packages"]["node_modules/onnxruntime-web"]["version"]
    assert f"onnxruntime-web@{version}," in run(tmp_path / "page", "--runtime", tmp_path)[1]


def test_two_bundles_of_one_coding_id_are_refused(
    tmp_path: Path, tiny_bundle: Path, bundle_copy: Path, runtime: Path
) -> None:
    models = ("-m", tiny_bundle, "-m", bundle_copy)
    code, text = run(tmp_path / "page", *models, "--runtime", runtime)
    assert code == 5
    assert "leave one out" in text


def test_two_bundles_of_one_name_get_two_folders(
    tmp_path: Path, tiny_bundle: Path, bundle_copy: Path, runtime: Path
) -> None:
    rename_latent_space(bundle_copy)
    models = ("-m", tiny_bundle, "-m", bundle_copy)
    code, text = run(tmp_path / "page", *models, "--runtime", runtime)
    assert code == 0, text
    first, second = json.loads((tmp_path / "page" / "models" / "models.json").read_text())
    assert second["name"] == f"{first['name']}-{second['coding_id']}"
    assert (tmp_path / "page" / "models" / second["name"] / "decoder.onnx").is_file()


def test_server_sends_types_and_the_headers_that_threads_need(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<p>page")
    (tmp_path / "a.wasm").write_bytes(b"\0asm")
    (tmp_path / "folder").mkdir()
    with serving(tmp_path) as connection:
        page = get(connection, "/")
        assert page.getheader("Cross-Origin-Opener-Policy") == "same-origin"
        assert page.getheader("Cross-Origin-Embedder-Policy") == "require-corp"
        assert get(connection, "/a.wasm").getheader("Content-Type") == "application/wasm"
        assert get(connection, "/folder/").status == 404
        assert get(connection, "/../../../../etc/passwd").status == 404


@needs_node
def test_javascript_module_in_node() -> None:
    run_node("test/unit/", {})


def test_server_says_nothing_of_visitors_who_leave(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "large.bin").write_bytes(bytes(50_000_000))  # more than the sockets' buffers hold
    with serving(tmp_path) as connection:
        visitor = socket.create_connection(("127.0.0.1", connection.port))
        visitor.sendall(b"GET /large.bin HTTP/1.1\r\nHost: edgeae\r\n\r\n")
        visitor.recv(1000)
        # What it leaves unread resets the connection in the middle of the file.
        visitor.close()
        assert get(connection, "/large.bin").status == 200
    assert capfd.readouterr().err == ""


@pytest.mark.slow
@needs_node
@needs_chromium
def test_page_in_chromium(tmp_path: Path) -> None:
    index = json.loads((GOLDEN / "index.json").read_text())
    photo = ROOT / "docs" / "pictures" / "cat.png"
    with built_and_served(tmp_path / "page", [ROOT / b["path"] for b in bundles(index)]) as url:
        run_node(
            "test/browser/",
            {
                "EDGEAE_URL": url,
                "EDGEAE_PHOTO": str(photo),
                "EDGEAE_OUT": str(tmp_path),
                "EDGEAE_CHROMIUM": chromium or "",
            },
        )
    check_golden_pixels(index, json.loads((tmp_path / "decoded.json").read_text()))
    check_opened_files(tmp_path)
    check_encoded_photo(photo, (tmp_path / "encoded.eae").read_bytes())


def rename_latent_space(bundle: Path) -> None:
    """Make a bundle one of another training run, with a coding id of its own."""
    record = json.loads((bundle / "manifest.json").read_text())
    record["latent_space"] += "-other"
    with np.load(bundle / "tables.npz") as arrays:
        graph = (bundle / "hyper_decoder.onnx").read_bytes()
        record["coding_id"] = coding_id(graph, dict(arrays), record["latent_space"]).hex()
    (bundle / "manifest.json").write_text(json.dumps(record))


def bundles(index: dict[str, dict[str, dict[str, str]]]) -> list[dict[str, str]]:
    """Return the bundles of the golden set, photo first: the page begins with it."""
    found = index["bundles"]
    return [found["photo"], *(bundle for name, bundle in found.items() if name != "photo")]


def check_golden_pixels(index: dict, decoded: dict[str, str]) -> None:
    compared = 0
    for file in index["files"]:
        if "fp32" not in file["pixels"]:
            continue
        path, data = GOLDEN / file["pixels"]["fp32"], base64.b64decode(decoded[file["file"]])
        if path.suffix == ".npy":
            there = np.load(path)
            assert np.frombuffer(data, np.float32) == pytest.approx(there.reshape(-1), rel=1e-5)
            continue
        there = colours(np.asarray(Image.open(path)))
        here = np.frombuffer(data, np.uint8).reshape(there.shape)
        assert np.abs(here - there.astype(int)).max() <= PIXEL_BOUND, file["file"]
        compared += 1
    assert compared > 20


def check_opened_files(folder: Path) -> None:
    picture = np.asarray(Image.open(folder / "opened.png")).astype(int)
    there = np.asarray(Image.open(GOLDEN / "pixels" / "tiny-graphic-alpha-100.fp32.png"))
    assert np.array_equal(picture[..., 3], there[..., 3])
    assert np.abs(picture - there).max() <= PIXEL_BOUND
    series = np.load(folder / "series.npy")
    there = np.load(GOLDEN / "pixels" / "series-series.fp32.npy")
    assert series == pytest.approx(there, rel=1e-5)


def check_encoded_photo(photo: Path, file: bytes) -> None:
    codec = Codec.load("photo", precision="fp32", threads=1)
    pixels = np.asarray(Image.open(photo).convert("RGB"))
    here, there = codec.from_bytes(file), codec.encode(pixels, 50, effort=0)  # as the page does
    assert np.array_equal(here.z, there.z)
    assert len(file) == pytest.approx(len(codec.to_bytes(there)), rel=SIZE_BOUND)
    assert codec.decompress(file).shape == pixels.shape


def colours(pixels: np.ndarray) -> np.ndarray:
    """Return the samples without alpha, (H, W, 1) or (H, W, 3)."""
    planes = pixels[..., np.newaxis] if pixels.ndim == 2 else pixels
    return planes[..., : planes.shape[-1] - (planes.shape[-1] in (2, 4))]


def run_node(folder: str, variables: dict[str, str]) -> None:
    """Run the JavaScript tests in a folder of web/; what failed is in the assertion."""
    files = sorted(str(path.relative_to(WEB)) for path in (WEB / folder).glob("*.test.js"))
    result = subprocess.run(
        [str(node), "--test", *files],
        check=False,
        cwd=WEB,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:]


@contextmanager
def built_and_served(page: Path, models: list[Path]) -> Iterator[str]:
    """Write the page as a user would, serve it, and give its address."""
    options = [option for model in models for option in ("-m", str(model))]
    process = subprocess.Popen(
        [sys.executable, "-m", "edgeae", "web", str(page), *options, "--serve", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.communicate(timeout=60)


@contextmanager
def serving(folder: Path) -> Iterator[http.client.HTTPConnection]:
    with server(folder, 0) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        connection = http.client.HTTPConnection("127.0.0.1", serving.server_port, timeout=60)
        try:
            yield connection
        finally:
            connection.close()
            serving.shutdown()
            thread.join()


def get(connection: http.client.HTTPConnection, path: str) -> http.client.HTTPResponse:
    connection.request("GET", path)
    response = connection.getresponse()
    response.read()
    return response
