from __future__ import annotations

import pytest
import torch

from edgeae_export.networks.layers import LEAK, Block, Rectified

pytestmark = pytest.mark.torch


def test_what_a_relu_cuts_off_leaves_a_trace_in_its_gradient() -> None:
    x = torch.tensor([-2.0, 0.0, 3.0], requires_grad=True)
    y = Rectified.apply(x)
    assert y.tolist() == [0.0, 0.0, 3.0]
    y.backward(torch.tensor([4.0, 4.0, 4.0]))
    torch.testing.assert_close(x.grad, torch.tensor([4 * LEAK, 4 * LEAK, 4.0]))


def test_a_unit_that_is_never_on_comes_back_where_it_helps() -> None:
    torch.manual_seed(1)
    block = Block(4)
    x = torch.randn(2, 8, 8, 4)
    with torch.no_grad():
        block.project.weight.normal_()
        block.expand.bias.fill_(-20.0)
    optimizer = torch.optim.Adam([block.expand.bias], lr=0.2)
    target = x + block.project.weight.detach().sum(dim=1)  # every unit at 1
    losses = []
    for _ in range(300):
        loss = (block(x) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[0] == pytest.approx(float((x - target).square().mean()))  # all are off
    assert losses[-1] < 0.5 * losses[0]
