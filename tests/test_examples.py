"""The programs of examples/, run as their users run them."""

from __future__ import annotations

import http.client
import importlib.util
import io
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import edgeae

EXAMPLES = Path(__file__).parents[1] / "examples"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def png_of(pixels: NDArray[np.uint8], **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_example_is_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < 80
    assert path.name in (EXAMPLES / "README.md").read_text(encoding="utf-8")


class TestService:
    @pytest.fixture
    def service(self, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
        monkeypatch.setenv("MODEL", "tiny")
        return load("service")

    @pytest.fixture
    def put(self, service: ModuleType) -> Callable[[str, bytes, str], httpx.Response]:
        async def send(path: str, data: bytes, kind: str) -> httpx.Response:
            transport = httpx.ASGITransport(app=service.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.put(path, content=data, headers={"Content-Type": kind})

        return lambda path, data, kind: anyio.run(send, path, data, kind)

    def test_picture_becomes_eae_and_a_picture_again(
        self, put: Callable[[str, bytes, str], httpx.Response], photo: NDArray[np.uint8]
    ) -> None:
        packed = put("/compress?quality=30", png_of(photo, icc_profile=b"profile"), "image/png")
        assert (packed.status_code, packed.headers["content-type"]) == (200, "image/x-eae")
        assert edgeae.probe(packed.content).quality == 3000
        for format in ("png", "webp"):
            back = put(f"/decompress?format={format}", packed.content, "image/x-eae")
            assert (back.status_code, back.headers["content-type"]) == (200, f"image/{format}")
            with Image.open(io.BytesIO(back.content)) as image:
                assert image.size == (150, 100)
                assert image.info["icc_profile"] == b"profile"
                if format == "png":
                    np.testing.assert_array_equal(image, edgeae.decompress(packed.content))

    @pytest.mark.parametrize(
        ("path", "data", "kind", "status"),
        [
            ("/compress", b"no picture", "image/png", 422),
            ("/compress", b"", "image/png", 422),
            ("/compress", b"{cut}", "image/png", 422),
            ("/compress", b"{png}", "text/plain", 415),
            ("/compress?quality=101", b"{png}", "image/png", 422),
            ("/compress", bytes(3000), "image/png", 413),
            ("/compress", b"{large}", "image/png", 413),
            ("/decompress", b"no eae", "image/x-eae", 422),
            ("/decompress", b"{png}", "image/png", 415),
            ("/decompress", b"{damaged}", "image/x-eae", 422),
            ("/decompress", b"{eae}", "image/x-eae", 200),
            ("/decompress", b"{large eae}", "image/x-eae", 413),
            ("/decompress?format=exe", b"{eae}", "image/x-eae", 422),
            ("/decompress?format=jpeg", b"{alpha eae}", "image/x-eae", 422),
        ],
    )
    def test_bad_input_has_its_status(
        self,
        service: ModuleType,
        put: Callable[[str, bytes, str], httpx.Response],
        monkeypatch: pytest.MonkeyPatch,
        path: str,
        data: bytes,
        kind: str,
        status: int,
    ) -> None:
        monkeypatch.setattr(service, "MAX_BYTES", 2000)
        monkeypatch.setattr(service, "MAX_PIXELS", 2000)
        small = np.full((20, 30, 3), 90, np.uint8)
        packed = edgeae.compress(small, 50, "tiny")
        made = {
            b"{png}": png_of(small),
            b"{cut}": png_of(small)[:60],
            b"{large}": png_of(np.zeros((50, 50), np.uint8)),
            b"{eae}": packed,
            b"{damaged}": packed[:-9] + bytes(9),
            b"{large eae}": edgeae.compress(np.zeros((50, 50), np.uint8), 0, "tiny"),
            b"{alpha eae}": edgeae.compress(np.full((20, 30, 4), 90, np.uint8), 50, "tiny"),
        }
        answer = put(path, made.get(data, data), kind)
        assert answer.status_code == status, answer.text

    def test_real_server_serves(self, photo: NDArray[np.uint8]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = ["--app-dir", str(EXAMPLES), "--port", str(port), "--log-level", "warning"]
        command = [sys.executable, "-m", "uvicorn", "service:app", *options]
        server = subprocess.Popen(command, env={**os.environ, "MODEL": "tiny"})
        try:
            wait_for(lambda: reaches(port))
            packed = request(port, "/compress", png_of(photo), "image/png")
            picture = request(port, "/decompress", packed, "image/x-eae")
        finally:
            server.terminate()
            server.wait(30)
        with Image.open(io.BytesIO(picture)) as image:
            np.testing.assert_array_equal(image, edgeae.decompress(packed))


def request(port: int, path: str, data: bytes, kind: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("PUT", path, data, {"Content-Type": kind})
    answer = connection.getresponse()
    assert answer.status == 200
    body = answer.read()
    connection.close()
    return body


def reaches(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


class TestWatch:
    @pytest.fixture
    def folders(self, tmp_path: Path) -> Iterator[tuple[Path, Path]]:
        """The folder that is watched while the test runs, and that of the outputs."""
        folder, out = tmp_path / "camera", tmp_path / "small"
        folder.mkdir()
        (folder / "before.png").write_bytes(png_of(np.zeros((20, 30, 3), np.uint8)))
        module = load("watch_folder")
        stop = threading.Event()
        thread = threading.Thread(
            target=module.watch, args=(folder, out), kwargs={"model": "tiny", "stop": stop}
        )
        thread.start()
        yield folder, out
        stop.set()
        thread.join(30)
        assert not thread.is_alive()

    def test_complete_pictures_are_compressed_and_half_ones_wait(
        self, folders: tuple[Path, Path], photo: NDArray[np.uint8]
    ) -> None:
        folder, out = folders
        wait_for((out / "before.png.eae").exists)
        (folder / "card").mkdir()
        data = png_of(photo)
        (folder / "card" / "a.png").write_bytes(data[:2000])
        (folder / "card" / "b.png").write_bytes(data)
        (folder / "card" / "notes.txt").write_text("no picture")
        wait_for((out / "card" / "b.png.eae").exists)
        assert not (out / "card" / "a.png.eae").exists()
        with (folder / "card" / "a.png").open("ab") as file:
            file.write(data[2000:])
        wait_for((out / "card" / "a.png.eae").exists)
        found = {path.name for path in out.rglob("*") if path.is_file()}
        assert found == {"before.png.eae", "a.png.eae", "b.png.eae"}
        for name in ("a", "b"):
            packed = (out / "card" / f"{name}.png.eae").read_bytes()
            assert edgeae.decompress(packed).shape == photo.shape


def test_pool_gives_what_one_thread_gives(tmp_path: Path, photo: NDArray[np.uint8]) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(6)]
    for number, path in enumerate(paths):
        Image.fromarray(photo[number:]).save(path)
    paths[2].write_text("no picture")
    found = list(load("thread_pool").compress_all(paths, model="tiny", workers=3))
    assert [path for path, _ in found] == paths
    for number, (_, result) in enumerate(found):
        if number == 2:
            assert isinstance(result, OSError)
        else:
            assert result == edgeae.compress(photo[number:], 50, "tiny", threads=1)
