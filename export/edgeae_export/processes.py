"""One training in several processes: every one takes a part of each batch, gradients are averaged.

On CPUs two processes of one thread do nearly twice the work of one; two threads of one process do
1.2 to 1.9 times (docs/experiments.md). Start them with torchrun, whose environment this reads.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import distributed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes of a run; ``rank`` 0 writes the files."""

    rank: int
    count: int

    @classmethod
    def join(cls) -> Processes:
        """Meet the other processes that torchrun started, or be the only one."""
        if "WORLD_SIZE" not in os.environ:
            return cls(rank=0, count=1)
        distributed.init_process_group("gloo")
        return cls(rank=distributed.get_rank(), count=distributed.get_world_size())

    def share(self, tensors: Sequence[Tensor]) -> None:
        """Give every process the tensors of the first, in place."""
        if self.count > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, 0)

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their means over the processes, in one exchange."""
        if self.count > 1:
            flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
            distributed.all_reduce(flat)
            flat /= self.count
            start = 0
            for tensor in tensors:
                tensor.copy_(flat[start : start + tensor.numel()].view_as(tensor))
                start += tensor.numel()
