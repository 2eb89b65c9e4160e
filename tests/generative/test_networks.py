"""Shapes and types, the meaning of "no label", forward-mode derivatives, and a field that is smooth in t."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from fokker.generative.networks import MLP, Network, UNet
from fokker.generative.networks.embedding import Embedding
from fokker.generative.networks.unet import HEADS, Attention

BUILDERS = {
    "mlp": lambda: MLP(5, width=16, depth=2, classes=3),
    "unet": lambda: UNet(8, width=8, classes=3),
    "folded": lambda: UNet(12, channels=2, width=8, classes=3, patch=2),
}


def randomised(net: nn.Module, seed: int = 0) -> nn.Module:
    """No layer silent: every parameter drawn."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    return net


def inputs(net: Network, batch: int = 4, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, *net.shape, generator=generator, dtype=torch.float64)
    t = torch.rand(batch, generator=generator, dtype=torch.float64)
    return x, t, torch.arange(batch) % net.null_label


@pytest.fixture(params=BUILDERS, ids=str)
def net(request: pytest.FixtureRequest) -> Network:
    built = randomised(BUILDERS[request.param]())
    assert isinstance(built, Network)
    return built.double()


def test_float64_and_float32_agree(net: Network) -> None:
    x, t, label = inputs(net)
    exact = net(x, t, label)
    assert exact.shape == x.shape
    assert exact.dtype == torch.float64
    rounded = net.float()(x.float(), t.float(), label)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded.double(), exact, rtol=1e-4, atol=1e-4)


def test_no_label_is_the_null_label_and_labels_matter(net: Network) -> None:
    x, t, label = inputs(net)
    torch.testing.assert_close(net(x, t), net(x, t, torch.full_like(label, net.null_label)), rtol=0, atol=0)
    assert (net(x, t, label) - net(x, t)).abs().max() > 1e-3


def test_samples_do_not_see_each_other(net: Network) -> None:
    x, t, label = inputs(net)
    torch.testing.assert_close(net(x, t, label)[2:3], net(x[2:3], t[2:3], label[2:3]), rtol=1e-12, atol=1e-12)


def test_arguments_rebuild_the_architecture(net: Network) -> None:
    again = type(net)(**net.arguments).double()
    again.load_state_dict(net.state_dict())
    x, t, label = inputs(net)
    torch.testing.assert_close(again(x, t, label), net(x, t, label), rtol=0, atol=0)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # torch's own use
def test_forward_mode_derivative_is_the_transpose_of_reverse_mode(net: Network) -> None:
    """⟨w, J v⟩ = ⟨Jᵀ w, v⟩ for the Jacobian in (x, t)."""
    x, t, label = inputs(net)
    v_x, v_t, _ = inputs(net, seed=1)
    w, _, _ = inputs(net, seed=2)

    def field(x: Tensor, t: Tensor) -> Tensor:
        return net(x, t, label)

    _, forward = torch.func.jvp(field, (x, t), (v_x, v_t))
    _, pull = torch.func.vjp(field, x, t)
    back_x, back_t = pull(w)
    expected = (back_x * v_x).sum() + (back_t * v_t).sum()
    torch.testing.assert_close((w * forward).sum(), expected, rtol=1e-10, atol=1e-10)


def test_attention_is_attention() -> None:
    layer = randomised(Attention(16)).double()
    h = torch.randn(2, 16, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    q, k, v = layer.qkv(layer.norm(h)).reshape(2, 3, HEADS, 4, 9).mT.unbind(1)
    mixed = scaled_dot_product_attention(q, k, v).mT.reshape(2, 16, 3, 3)
    torch.testing.assert_close(layer(h), h + layer.out(mixed), rtol=1e-12, atol=1e-12)


def test_a_new_unet_is_a_multiple_of_its_input() -> None:
    net = UNet(8, width=8)
    x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    ratio = net(x, torch.tensor([0.3, 0.8])) / x
    torch.testing.assert_close(ratio, ratio[:, :, :1, :1].expand_as(ratio))


def test_the_frequencies_are_bounded_by_the_top_one() -> None:
    embedding = Embedding(8, classes=0, top_frequency=16.0)
    assert embedding.frequencies.min() == pytest.approx(1.0)
    assert embedding.frequencies.max() == pytest.approx(16.0)
    assert not any("frequencies" in name for name in embedding.state_dict())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: UNet(9), "size 9 must be a multiple of 2"),
        (lambda: UNet(28, patch=4), "size 28 must be a multiple of 8"),
        (lambda: UNet(8, width=12), "width 12 must be a multiple of 8"),
        (lambda: MLP(2, top_frequency=0.5), "top_frequency is 0.5"),
    ],
)
def test_architectures_that_do_not_fit_are_refused(build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
