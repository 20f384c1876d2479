"""One training in several processes: every one takes a part of each batch, gradients are averaged.

On CPUs two processes of one thread do nearly twice the work of one; two threads of one process do
1.2 to 1.9 times (docs/experiments.md). Start them with torchrun, whose environment this reads.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import distributed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes of a run; ``rank`` 0 writes the files and speaks to the user."""

    rank: int
    count: int

    @classmethod
    @contextmanager
    def join(cls) -> Iterator[Processes]:
        """Meet the other processes that torchrun started, or be the only one; part at the end.

        Threads of a group that nobody took apart can abort a process that exits.
        """
        if "WORLD_SIZE" not in os.environ:
            yield ALONE
            return
        distributed.init_process_group("gloo")
        try:
            yield cls(rank=distributed.get_rank(), count=distributed.get_world_size())
        finally:
            distributed.destroy_process_group()

    def share(self, tensors: Sequence[Tensor]) -> None:
        """Give every process the tensors of the first, in place."""
        if self.count > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, 0)

    def divide(self, work: Sequence[float]) -> list[int]:
        """Return which process does each job, so that all have about equal ``work``."""
        loads, owners = [0.0] * self.count, [0] * len(work)
        for job in sorted(range(len(work)), key=lambda job: -work[job]):
            owners[job] = loads.index(min(loads))
            loads[owners[job]] += work[job]
        return owners

    def exchange(self, tensors: Sequence[Tensor], owners: Sequence[int]) -> None:
        """Give every process each tensor of its owner, in place."""
        if self.count == 1:
            return
        for rank in range(self.count):
            own = [t for t, owner in zip(tensors, owners, strict=True) if owner == rank]
            flat = torch.cat([tensor.reshape(-1) for tensor in own])
            distributed.broadcast(flat, rank)
            if rank != self.rank:
                _unpack(flat, own)

    def gather(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the tensors of all processes, by names that are each one process's."""
        if self.count == 1:
            return tensors
        parts: list[dict[str, Tensor]] = [{} for _ in range(self.count)]
        distributed.all_gather_object(parts, tensors)
        return {name: tensor for part in parts for name, tensor in part.items()}

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their means over the processes, in one exchange."""
        if self.count > 1:
            flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
            distributed.all_reduce(flat)
            flat /= self.count
            _unpack(flat, tensors)


def _unpack(flat: Tensor, tensors: Sequence[Tensor]) -> None:
    start = 0
    for tensor in tensors:
        tensor.copy_(flat[start : start + tensor.numel()].view_as(tensor))
        start += tensor.numel()


ALONE = Processes(rank=0, count=1)
