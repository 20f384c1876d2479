"""The web page that opens and makes ``.eae`` files: what its folder holds, and a server for it.

The page's own files are in the package. Those of onnxruntime-web, 14 MB of WebAssembly, come from
an installed npm package; nothing is downloaded.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeae.bundle import CARD, MANIFEST, TABLES, Bundle
from edgeae.errors import BundleError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Sequence

RUNTIME_VERSION = "1.30.0"  # the one that web/package-lock.json has and the tests run
LOOPBACK = "127.0.0.1"
INDEX = "index.html"
_RUNTIME_FILES = (
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
)
_PACKAGE = Path(__file__).parent
_INSTALLED = _PACKAGE / "web_page"  # in a wheel
_CHECKOUT = _PACKAGE.parent / "web"  # beside the package where that is not installed
_IN_MODULES = Path("node_modules") / "onnxruntime-web" / "dist"


def page_contents(bundles: Sequence[Bundle], runtime: Path | None = None) -> dict[str, bytes]:
    """Return the files of the page by their path in its folder.

    Parameters
    ----------
    bundles : sequence of Bundle
        Models of the page, verified while they are read; the first one is offered first.
    runtime : Path, optional
        Folder of onnxruntime-web, or its ``dist``; by default ``node_modules`` of the working
        directory or of the checkout.

    Raises
    ------
    BundleError
        A bundle was changed, or two have one coding id.
    MissingExtraError
        There is no onnxruntime-web.
    """
    scripts = _runtime_folder(runtime)
    contents = {f"runtime/{name}": (scripts / name).read_bytes() for name in _RUNTIME_FILES}
    page = _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT / "src"
    for file in sorted(page.rglob("*")):
        if file.is_file():
            contents[file.relative_to(page).as_posix()] = file.read_bytes()
    entries: dict[
        str, dict[str, str | bool]
    ] = {}  # by coding id: how the page finds a file's model
    for bundle in bundles:
        manifest = bundle.manifest
        if manifest.coding_id in entries:
            raise BundleError(
                f"{bundle.path}: another bundle has coding id {manifest.coding_id} too, so the "
                f"page could not choose between them; leave one out"
            )
        taken = any(entry["name"] == manifest.name for entry in entries.values())
        name = f"{manifest.name}-{manifest.coding_id}" if taken else manifest.name
        entries[manifest.coding_id] = {
            "name": name,
            "coding_id": manifest.coding_id,
            "input": manifest.input,
            "plain": manifest.plain,  # one quality, whatever is asked for
            "description": manifest.description,
        }
        contents[f"models/{name}/{MANIFEST}"] = (bundle.path / MANIFEST).read_bytes()
        needed = (file for file in manifest.files if _is_needed(file))
        contents |= {f"models/{name}/{file}": bundle.read(file) for file in needed}
    contents["models/models.json"] = json.dumps([*entries.values()], indent=1).encode() + b"\n"
    return contents


def server(folder: Path, port: int) -> ThreadingHTTPServer:
    """Return a server of ``folder`` on the loopback interface; 0 takes any free port.

    It sends the headers that WebAssembly threads need. OSError if the port is taken.
    """
    return _Server((LOOPBACK, port), partial(_Handler, directory=str(folder)))


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report what went wrong, but for a visitor who left before all of a file was sent."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(SimpleHTTPRequestHandler):
    """Files with their types, no listings, nothing on stderr."""

    protocol_version = "HTTP/1.1"
    extensions_map = {  # noqa: RUF012  # as the base class has it
        **SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
        ".json": "application/json",
        ".svg": "image/svg+xml",
        ".onnx": "application/octet-stream",
        ".eae": "application/octet-stream",
    }

    def end_headers(self) -> None:
        """Add what makes a page cross-origin isolated, and have caches ask again."""
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def list_directory(self, path: Any) -> None:
        """Refuse: a folder without index.html is no page."""
        self.send_error(HTTPStatus.NOT_FOUND)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def _is_needed(name: str) -> bool:
    """Return whether the page reads a file of a bundle, or a visitor may want to."""
    return name.endswith(".onnx") or name in (TABLES, CARD)


def _runtime_folder(given: Path | None) -> Path:
    if given is not None:
        candidates = [given, given / "dist", given / _IN_MODULES]
    else:
        candidates = [Path.cwd() / _IN_MODULES, _CHECKOUT / _IN_MODULES]
    for folder in candidates:
        if all((folder / name).is_file() for name in _RUNTIME_FILES):
            return folder
    raise MissingExtraError(
        f"onnxruntime-web is not in {' or '.join(map(str, candidates))}; install it: "
        f"npm install --ignore-scripts onnxruntime-web@{RUNTIME_VERSION}, then run this again in "
        f"the same folder or with --runtime node_modules/onnxruntime-web"
    )
