"""web: the folder of a page that opens and makes .eae files in a browser, and a server for it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeae.cli import output
from edgeae.cli.options import Force
from edgeae.errors import OutputError

PORT_LIMIT = 65_535


def web(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the page.")],
    model: Annotated[
        list[str] | None,
        typer.Option(
            "-m",
            "--model",
            help="Name of a bundle, or its folder; may be repeated; photo if none is given.",
        ),
    ] = None,
    runtime: Annotated[
        Path | None,
        typer.Option(help="Folder of the npm package onnxruntime-web; by default node_modules."),
    ] = None,
    serve: Annotated[
        bool,
        typer.Option("--serve", help="Serve it on 127.0.0.1 until Ctrl-C; one there is stays."),
    ] = False,
    port: Annotated[
        int, typer.Option(min=0, max=PORT_LIMIT, help="Of --serve; 0 takes a free one.")
    ] = 8000,
    force: Force = False,
) -> None:
    """Write a web page that opens .eae files and makes them from photos, with its models.

    The folder is complete and static: any web server can serve it, without a network. Threads need
    the headers Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy:
    require-corp, which --serve sends; without them the page runs in one thread. Every model is
    checked against its manifest, here and in the browser.

    \b
    Examples:
      npm install --ignore-scripts onnxruntime-web@1.30.0
      edgeae web page --serve
      edgeae web page -m photo -m my-model -f
    """  # noqa: D301 click keeps the lines after this mark as they are
    from edgeae.web import INDEX

    if not (serve and (folder / INDEX).is_file() and model is None and not force):
        _write(folder, model or ["photo"], runtime, force=force)
    if serve:
        _serve(folder, port)


def _write(folder: Path, models: list[str], runtime: Path | None, *, force: bool) -> None:
    from edgeae.bundle import Bundle, find_bundle
    from edgeae.web import page_contents

    if not force and folder.is_dir() and any(folder.iterdir()):
        raise OutputError(f"{folder}: exists; overwrite its files with -f, or name another folder")
    bundles = [Bundle.load(find_bundle(name)) for name in models]
    contents = page_contents(bundles, runtime)
    for name, data in contents.items():
        output.write_in_folder(data, folder / name, force=True)
    size_mb = sum(map(len, contents.values())) / 1e6
    output.say(f"wrote {folder}: {len(contents)} files, {size_mb:.1f} MB")


def _serve(folder: Path, port: int) -> None:
    from edgeae.web import server

    try:
        serving = server(folder, port)
    except OSError as error:
        raise typer.BadParameter(
            f"--port: {port} cannot be used ({error.strerror or error}); choose another, or 0"
        ) from error
    with serving:
        output.print_line(f"http://127.0.0.1:{serving.server_port}/")
        output.say("Ctrl-C ends it")
        try:
            serving.serve_forever()
        except KeyboardInterrupt:  # how a server is meant to end
            return
