"""Weights in bf16 learn as weights in fp32 do, because their masters remember small updates."""

import math
from typing import Any

import pytest

from ftctl.local_backend.optimizer import make_optimizer

pytestmark = [pytest.mark.medium, pytest.mark.timeout(600)]


def layer(dtype: str) -> Any:
    import torch

    torch.manual_seed(0)
    return torch.nn.Linear(16, 16, bias=False).to(getattr(torch, dtype))


def steps(model: Any, optimizer: Any, count: int, rate: float) -> None:
    """Steps down a slope that is the same everywhere: what each is worth doesn't depend on it."""
    for _ in range(count):
        for group in optimizer.param_groups:
            group["lr"] = rate
        model.weight.sum().backward()
        optimizer.step()
        optimizer.zero_grad()


def test_small_updates_add_up_where_bf16_alone_loses_them() -> None:
    import torch

    count, rate = 200, 1e-5  # a weight is about 0.1, and 0.1 / 512 more than a step
    with_masters, alone, exact = layer("bfloat16"), layer("bfloat16"), layer("float32")
    start = with_masters.weight.detach().float()
    steps(with_masters, make_optimizer(with_masters.parameters(), 0.0), count, rate)
    steps(alone, torch.optim.AdamW(alone.parameters(), weight_decay=0.0), count, rate)
    steps(exact, make_optimizer(exact.parameters(), 0.0), count, rate)
    moved = (start - with_masters.weight.detach().float()).mean().item()
    assert moved == pytest.approx(count * rate, rel=0.05)
    large = start.abs() > 512 * rate
    assert large.float().mean() > 0.9
    assert torch.equal(alone.weight[large].float(), start[large])  # not one step was kept
    # To what bf16 can show, the result is that of fp32: both began at the same rounded weights.
    torch.testing.assert_close(
        with_masters.weight.float() - start,
        exact.weight - layer("float32").weight,
        rtol=0,
        atol=1e-3,
    )


def test_a_weight_is_its_master_rounded_and_gradients_add_up_in_fp32() -> None:
    import torch

    model = layer("bfloat16")
    optimizer = make_optimizer(model.parameters(), 0.0)
    # 1 and then 256 times 1/256: in bf16 each of them is lost in the sum.
    model.weight.sum().backward()
    for _ in range(256):
        (model.weight.sum() / 256).backward()
    assert model.weight.grad.dtype is torch.float32
    assert torch.equal(model.weight.grad, torch.full((16, 16), 2.0))
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    assert norm.item() == pytest.approx(2 * math.sqrt(256))
    steps(model, optimizer, 3, 1e-3)
    (master,) = optimizer.param_groups[0]["params"]
    assert master.dtype is torch.float32
    assert not torch.equal(model.weight.float(), master)
    assert torch.equal(model.weight, master.bfloat16())


def test_weights_in_fp32_have_torchs_own_optimizer() -> None:
    import torch

    model, same = layer("float32"), layer("float32")
    optimizer = make_optimizer(model.parameters(), 0.1)
    assert type(optimizer) is torch.optim.AdamW
    steps(model, optimizer, 5, 1e-3)
    plain = torch.optim.AdamW(same.parameters(), betas=(0.9, 0.99), weight_decay=0.1)
    steps(same, plain, 5, 1e-3)
    assert torch.equal(model.weight, same.weight)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_its_state_is_all_that_going_on_takes(dtype: str) -> None:
    import torch

    whole = layer(dtype)
    steps(whole, make_optimizer(whole.parameters(), 0.1), 7, 1e-4)
    first = layer(dtype)
    optimizer = make_optimizer(first.parameters(), 0.1)
    steps(first, optimizer, 4, 1e-4)
    other = layer(dtype)
    other.load_state_dict(first.state_dict())
    again = make_optimizer(other.parameters(), 0.1)
    again.load_state_dict(optimizer.state_dict())
    steps(other, again, 3, 1e-4)
    assert torch.equal(other.weight, whole.weight)


def test_it_works_in_accelerates_wrapper() -> None:
    import torch
    from accelerate import Accelerator

    model, same = layer("bfloat16"), layer("bfloat16")
    wrapped, optimizer = Accelerator(cpu=True).prepare(
        model, make_optimizer(model.parameters(), 0.0)
    )
    steps(wrapped, optimizer, 20, 1e-4)
    steps(same, make_optimizer(same.parameters(), 0.0), 20, 1e-4)
    assert torch.equal(model.weight, same.weight)
    assert not torch.equal(model.weight, layer("bfloat16").weight)
