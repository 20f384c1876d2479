from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import distributed, multiprocessing

from edgeae_export.checkpoint import Checkpoint
from edgeae_export.processes import Processes
from export.made_pictures import write_pictures
from export.recipes import TINY

pytestmark = [pytest.mark.torch, pytest.mark.slow]


def exchange(rank: int, folder: str) -> None:
    os.environ |= {
        "RANK": str(rank),
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": Path(folder, "port").read_text(),
    }
    with Processes.join() as processes:
        matrix, number = torch.full((2, 3), float(rank)), torch.tensor([10.0 * rank])
        processes.average([matrix, number])
        shared = torch.tensor([float(rank + 7)])
        processes.share([shared])
        own = [torch.full((2, k), float(rank)) for k in range(1, 4)]
        processes.exchange(own, [1, 0, 1])
        gathered = processes.gather({f"of {rank}": torch.tensor(rank)})
        torch.save((matrix, number, shared, own, gathered), Path(folder, f"{rank}.pt"))
    assert not distributed.is_initialized()  # else its threads can abort a process that exits


def free_port() -> int:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_work_is_divided_about_equally() -> None:
    assert Processes(rank=0, count=1).divide([3, 1]) == [0, 0]
    assert Processes(rank=0, count=2).divide([1, 5, 2, 3]) == [0, 0, 1, 1]


def test_two_processes_average_share_exchange_and_gather(tmp_path: Path) -> None:
    (tmp_path / "port").write_text(str(free_port()))
    multiprocessing.spawn(exchange, args=(str(tmp_path),), nprocs=2)
    for rank in range(2):
        matrix, number, shared, own, gathered = torch.load(tmp_path / f"{rank}.pt")
        assert torch.equal(matrix, torch.full((2, 3), 0.5))
        assert torch.equal(number, torch.tensor([5.0]))
        assert torch.equal(shared, torch.tensor([7.0]))
        assert [tensor.mean().item() for tensor in own] == [1, 0, 1]
        assert gathered == {"of 0": torch.tensor(0), "of 1": torch.tensor(1)}


def test_training_in_two_processes_writes_one_checkpoint(tmp_path: Path) -> None:
    photos = write_pictures(tmp_path / "photos", 6)
    out = tmp_path / "run"
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    launch += ["--nproc-per-node", "2", "-m", "edgeae", "train", str(photos), "--val", str(photos)]
    launch += ["-o", str(out), "--recipe", TINY, "--minutes", "0.05", "--quiet"]
    environment = os.environ | {"TORCHDYNAMO_DISABLE": "1"}
    run = subprocess.run(
        launch, check=True, env=environment, timeout=300, stderr=subprocess.PIPE, text=True
    )
    assert run.stderr.count("export it with") == 1
    checkpoint = Checkpoint.load(out / "checkpoint.safetensors")
    assert checkpoint.progress.step > 0
    assert checkpoint.history["threads"] == "2 x 1"
    assert (out / "log.jsonl").read_text().count('"start"') == 1
    assert (checkpoint.tensors["loss.mean"] > 0).all()  # of the anchors of both processes
    for group in ("first", "second"):  # of each weight, whichever process updated it
        assert checkpoint.group(group).keys() == checkpoint.group("model").keys()
