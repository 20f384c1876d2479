"""Compress what a camera puts into a folder, as soon as it is complete.

    python examples/watch_folder.py camera/ small/

A file counts as complete when nothing has changed it for a second; one that cannot be read even
then is left alone until it changes again. What is there at the start is done first, unless its
output exists. Outputs are made under another name and renamed: who looks sees whole ones only.
"""

import sys
import threading
import time
from pathlib import Path

import watchfiles
from PIL import Image

import edgeae

SETTLED_S = 1.0
UNREADABLE = (OSError, ValueError, Image.DecompressionBombError, edgeae.ImageError)
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


def watch(folder: Path, out: Path, *, model: str = "photo", stop: threading.Event) -> None:
    """Compress until ``stop`` is set."""
    codec = edgeae.Codec.load(model)
    changed: dict[Path, float] | None = None
    for changes in watchfiles.watch(
        folder, stop_event=stop, rust_timeout=200, yield_on_timeout=True, raise_interrupt=False
    ):
        now = time.monotonic()
        if changed is None:  # the watch has begun: from here on nothing is missed
            changed = {path: now for path in folder.rglob("*") if is_new(path, folder, out)}
        for kind, name in changes:
            if kind == watchfiles.Change.deleted:
                changed.pop(Path(name), None)
            elif Path(name).suffix.lower() in SUFFIXES:
                changed[Path(name)] = now
        for path in [path for path, last in changed.items() if now - last >= SETTLED_S]:
            del changed[path]
            compress(codec, path, target_of(path, folder, out))


def compress(codec: edgeae.Codec, path: Path, target: Path) -> None:
    try:
        with Image.open(path) as image:
            data = codec.compress(image, quality=50)
    except UNREADABLE as error:  # half-written, gone, or no picture
        print(f"{path}: {error}", file=sys.stderr)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.part")
    partial.write_bytes(data)
    partial.replace(target)
    print(f"{path} -> {target}  {len(data)} bytes", flush=True)


def target_of(path: Path, folder: Path, out: Path) -> Path:
    # The whole name stays: a.jpg and a.png are two pictures.
    return out / path.relative_to(folder).with_name(f"{path.name}.eae")


def is_new(path: Path, folder: Path, out: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not target_of(path, folder, out).exists()


if __name__ == "__main__":
    # Absolute, as the changes name their files.
    watch(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve(), stop=threading.Event())
