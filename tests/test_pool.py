"""Max pooling against PyTorch's, to the bit."""

from __future__ import annotations

import math

import hypothesis
import pytest
import torch
from exploring import examples
from hypothesis import strategies as st
from torch import nn

from evfer.models.cpu.pool import MaxPool


def outcome(pool, x, seed=7):
    x = x.detach().requires_grad_()
    y = pool(x)
    grad = torch.randn(y.shape, generator=torch.Generator().manual_seed(seed)).to(y.dtype)
    return y.detach(), torch.autograd.grad(y, x, grad)[0]


@hypothesis.settings(max_examples=examples(40))
@hypothesis.given(
    n=st.integers(1, 3),
    channels=st.sampled_from([16, 17, 64]),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    spikes=st.booleans(),
    channels_last=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
    seed=st.integers(0, 2**20),
)
def test_equals_pytorch(n, channels, height, width, spikes, channels_last, dtype, seed):
    x = torch.randn(n, channels, height, width, generator=torch.Generator().manual_seed(seed))
    x = ((x > 1) if spikes else x).to(dtype)  # among spikes, most windows have several largest
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    ours, theirs = outcome(MaxPool(), x), outcome(nn.MaxPool2d(3, 2, 1), x)
    assert torch.equal(ours[0], theirs[0])
    if dtype == torch.bfloat16:  # PyTorch rounds after each of a pixel's sums
        assert torch.allclose(ours[1], theirs[1], rtol=0.02, atol=0.05)
    else:
        assert torch.equal(ours[1], theirs[1])


def test_what_is_no_number_goes_through():
    x = torch.zeros(1, 16, 5, 5)
    x[0, 3, 2, 2] = math.nan
    y = MaxPool()(x)
    assert y[0, 3].isnan().any()
    assert torch.equal(y.isnan(), nn.MaxPool2d(3, 2, 1)(x).isnan())
    assert torch.equal(
        MaxPool()(torch.full((1, 16, 3, 3), -math.inf)), torch.full((1, 16, 2, 2), -math.inf)
    )


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_no_bit(threads):
    before = torch.get_num_threads()
    x = torch.randn(7, 64, 12, 12).contiguous(memory_format=torch.channels_last)
    torch.set_num_threads(1)
    alone = outcome(MaxPool(), x)
    torch.set_num_threads(threads)
    shared = outcome(MaxPool(), x)
    torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(alone, shared, strict=True))


def test_it_keeps_a_byte_an_output():
    kept = []
    x = torch.randn(2, 64, 16, 16, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        MaxPool()(x)
    assert [(t.dtype, t.numel()) for t in kept] == [(torch.uint8, 2 * 64 * 8 * 8)]
