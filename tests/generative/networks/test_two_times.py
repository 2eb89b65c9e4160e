"""A network of two times is at the start the one inside it; then target and weight matter, smoothly."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fokker.generative.networks import MLP, DiT, TwoTimes, UNet

INNER = {
    "MLP": MLP(5, width=16, depth=2, classes=3),
    "UNet": UNet(8, width=8, classes=3),
    "DiT": DiT(6, channels=2, width=16, depth=1, heads=2, classes=3),
}


def drawn(net: nn.Module, seed: int = 0) -> nn.Module:
    """In float64, with every parameter drawn, so that no layer is silent."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in net.double().parameters():
        parameter.data = 0.2 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return net


def inputs(net: TwoTimes, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """States of four samples, and two times of each."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(4, *net.shape, generator=generator, dtype=torch.float64)
    return x, *torch.rand(2, 4, generator=generator, dtype=torch.float64)


def two_times(name: str, guided: bool = True) -> TwoTimes:
    return TwoTimes({"class": name, **INNER[name].arguments}, guided)


LABEL = torch.tensor([0, 1, 2, 3])


@pytest.mark.parametrize("name", INNER)
def test_with_the_weights_of_another_network_it_is_that_network(name: str) -> None:
    """Bit for bit, whatever the target and the weight."""
    teacher, student = drawn(INNER[name]), two_times(name).double()
    student.net.load_state_dict(teacher.state_dict())
    x, s, t = inputs(student)
    assert torch.equal(student(x, s, t, LABEL, 3.0), teacher(x, s, LABEL))
    assert torch.equal(student(x, s, 1.0 - t), teacher(x, s))


@pytest.mark.parametrize("name", INNER)
def test_target_and_weight_matter_and_no_weight_is_one(name: str) -> None:
    student = drawn(two_times(name))
    x, s, t = inputs(student)
    w = torch.tensor([1.0, 1.0, 2.0, 3.0], dtype=torch.float64)
    found = student(x, s, t, LABEL, w)
    assert (found - student(x, s, 1.0 - t, LABEL, w)).abs().amax() > 1e-3
    changed = (found - student(x, s, t, LABEL)).flatten(1).abs().amax(1)
    assert bool((changed[:2] == 0.0).all() and (changed[2:] > 1e-3).all())
    assert torch.equal(student(x, s, t, LABEL, 2.0), student(x, s, t, LABEL, w[2:3]))
    again = TwoTimes(**student.arguments).double()
    again.load_state_dict(student.state_dict())
    assert torch.equal(again(x, s, t, LABEL, w), found)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # torch's own use
@pytest.mark.parametrize("name", INNER)
def test_forward_mode_derivative_is_the_transpose_of_reverse_mode(name: str) -> None:
    """⟨w, J v⟩ = ⟨Jᵀ w, v⟩ for the Jacobian in the state and both times: rounding of sums of 1e3 terms, 1e-10."""
    student = drawn(two_times(name, guided=False))
    at, v, (w, *_) = inputs(student), inputs(student, 1), inputs(student, 2)
    _, slope = torch.func.jvp(student, at, v)
    _, pull = torch.func.vjp(student, *at)
    expected = sum((each * direction).sum() for each, direction in zip(pull(w), v, strict=True))
    torch.testing.assert_close((w * slope).sum(), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ("UNet", "The network inside is 'UNet'; give .* of DiT, MLP, UNet"),
        ({"class": "TwoTimes"}, "give .* of DiT, MLP, UNet"),
        ({"class": "MLP", "dim": 0}, "dim is 0"),
    ],
)
def test_what_cannot_be_inside_is_refused(network: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TwoTimes(network)


def test_weights_that_do_not_fit_are_refused() -> None:
    plain, guided = two_times("MLP", guided=False).double(), two_times("MLP").double()
    x, s, t = inputs(plain)
    with pytest.raises(ValueError, match="takes no weight of guidance; make it with guided=True"):
        plain(x, s, t, LABEL, 2.0)
    with pytest.raises(ValueError, match=r"weight has shape \(3,\) for 4 samples"):
        guided(x, s, t, LABEL, torch.ones(3))
    with pytest.raises(ValueError, match=r"needs?|have shape \(4,\)"):
        guided(x[:, :4], s, t)
