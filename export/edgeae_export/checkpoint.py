"""Training state on disk: one safetensors file, replaced as a whole, so a kill costs nothing."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from edgeae.errors import BundleError, OutputError
from edgeae_export.recipe_table import recipe_of

if TYPE_CHECKING:
    from pathlib import Path

    from _typeshed import DataclassInstance
    from torch import Tensor

R = TypeVar("R", bound="DataclassInstance")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come."""

    step: int
    seconds: float  # of training, over all resumes; validation and saving left out
    megapixels: float  # of crops seen


@dataclass(frozen=True, slots=True)
class Checkpoint(Generic[R]):
    """Everything that a run needs to go on, or an export to start.

    ``tensors`` has the prefixes ``model.`` (weights), ``average.`` (their moving average, what is
    exported), ``first.`` and ``second.`` (the optimizer's moments), and of a photo codec ``loss.``
    (running means by anchor), ``covariance0.``, ``covariance1.``, ``basis0.`` and ``basis1.``
    (SOAP's matrices for the sides of a weight).
    """

    recipe: R  # of the class that its network has in ``edgeae_export.recipe_table``
    progress: Progress
    tensors: dict[str, Tensor]
    history: dict[str, str]  # provenance for the model card: command, data, device, versions

    def group(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors under ``prefix``, by their names behind it."""
        start = prefix + "."
        return {k.removeprefix(start): v for k, v in self.tensors.items() if k.startswith(start)}

    def save(self, path: Path) -> None:
        """Write a sibling, flush it to the disk, and put it in place of ``path``.

        Raises
        ------
        OutputError
            The machine refuses to write; what was at ``path`` is still there.
        """
        metadata = {
            "recipe": json.dumps(asdict(self.recipe)),
            "progress": json.dumps(asdict(self.progress)),
            "history": json.dumps(self.history),
        }
        # Not its save_file: a kill there leaves a file of another name each time.
        data = save({k: v.contiguous() for k, v in self.tensors.items()}, metadata)
        partial = path.with_name(path.name + ".partial")
        try:
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError as error:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise OutputError(f"{path}: cannot be written ({error})") from error

    @staticmethod
    def load(path: Path) -> Checkpoint[Any]:
        """Read a checkpoint.

        Raises
        ------
        BundleError
            The file is missing, cut off, or not a checkpoint of this program.
        """
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
            return Checkpoint(
                recipe=recipe_of(json.loads(metadata["recipe"])),
                progress=Progress(**json.loads(metadata["progress"])),
                tensors=tensors,
                history=json.loads(metadata["history"]),
            )
        except (OSError, SafetensorError) as error:
            raise BundleError(f"{path}: cannot be read as a checkpoint ({error})") from error
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(
                f"{path}: not a checkpoint of this version ({error}); train again or use --init"
            ) from error
