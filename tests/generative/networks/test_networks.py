"""Shapes and types, the meaning of "no label", forward-mode derivatives, and a field that is smooth in t."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from fokker.generative.networks import MLP, DiT, Network, UNet, dit
from fokker.generative.networks.embedding import Embedding
from fokker.generative.networks.unet import HEADS, Attention

BUILDERS = {
    "mlp": lambda: MLP(5, width=16, depth=2, classes=3),
    "unet": lambda: UNet(8, width=8, classes=3),
    "folded": lambda: UNet(12, channels=2, width=8, classes=3, patch=2),
    "dit": lambda: DiT(6, channels=2, width=16, depth=2, heads=2, classes=3),
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


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # torch's own use
def test_forward_mode_derivative_is_the_limit_of_differences(net: Network) -> None:
    """Central differences, extrapolated: an error of h⁴ = 2e-15 times a fifth derivative, and rounding of 1e-16/h."""
    x, t, label = inputs(net)
    v_x, v_t, _ = inputs(net, seed=1)
    value, slope = torch.func.jvp(lambda x, t: net(x, t, label), (x, t), (v_x, v_t))
    torch.testing.assert_close(value, net(x, t, label), rtol=1e-12, atol=1e-12)

    def difference(h: float) -> Tensor:
        return (net(x + h * v_x, t + h * v_t, label) - net(x - h * v_x, t - h * v_t, label)) / (2 * h)

    torch.testing.assert_close(slope, (4 * difference(1e-4) - difference(2e-4)) / 3, rtol=1e-8, atol=1e-8)
    assert slope.abs().max() > 0.1


def test_half_precision_products_return_the_dtype_of_the_state(net: Network) -> None:
    """bfloat16 keeps 8 bits: an error of some 2⁻⁸ of the output's size, and not none."""
    x, t, label = inputs(net)
    net.float()
    x, t = x.float(), t.float()
    with torch.autocast("cpu", torch.bfloat16):
        half = net(x, t, label)
    full = net(x, t, label)
    assert half.dtype == torch.float32
    assert 0.0 < (half - full).abs().max() < 0.05 * full.abs().max()


def test_a_new_dit_is_silent_and_its_blocks_are_the_identity() -> None:
    torch.manual_seed(0)
    net = DiT(8, width=16, depth=3, heads=2, classes=3)
    assert len(net.blocks) == 3
    x, t, label = inputs(net)
    x, t = x.float(), t.float()
    assert torch.equal(net(x, t, label), torch.zeros_like(x))
    h, c = torch.randn(4, 16, 16), torch.randn(4, 16)
    for block in net.blocks:
        assert torch.equal(block(h, c), h)
        assert block.attention(h).abs().max() > 1e-3  # only the gates are shut


def test_a_new_dit_opens_its_gates_by_its_first_gradients() -> None:
    """After the head's first step, the gradient of every gate is there: nothing stays shut for ever."""
    torch.manual_seed(0)
    net = DiT(4, width=8, depth=2, heads=2, classes=2)
    x, t, _ = inputs(net)
    with torch.no_grad():
        net.head.weight.normal_()
    net(x.float(), t.float()).square().sum().backward()
    for block in net.blocks:
        gradient = block.modulation.weight.grad.unflatten(0, (6, 8)).abs().amax((1, 2))
        assert bool((gradient[[2, 5]] > 0).all())  # the gates
        assert not gradient[[0, 1, 3, 4]].any()  # shift and scale act through gates that are still shut


def test_attention_of_a_transformer_is_attention() -> None:
    layer = randomised(dit.Attention(16, heads=4)).double()
    h = torch.randn(2, 9, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    q, k, v = layer.qkv(h).reshape(2, 9, 3, 4, 4).permute(2, 0, 3, 1, 4)
    mixed = scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(2, 9, 16)
    torch.testing.assert_close(layer(h), layer.out(mixed), rtol=1e-12, atol=1e-12)


def test_a_block_is_the_published_one() -> None:
    """adaLN: the order is shift, scale, gate, first of attention, then of the perceptron."""
    block = randomised(dit.Block(16, heads=2)).double()
    generator = torch.Generator().manual_seed(0)
    h = torch.randn(2, 9, 16, generator=generator, dtype=torch.float64)
    c = torch.randn(2, 16, generator=generator, dtype=torch.float64)
    b1, a1, g1, b2, a2, g2 = block.modulation(c).reshape(2, 6, 1, 16).unbind(1)

    def norm(h: Tensor) -> Tensor:
        return (h - h.mean(2, keepdim=True)) / (h.var(2, keepdim=True, correction=0) + 1e-5).sqrt()

    expected = h + g1 * block.attention((1 + a1) * norm(h) + b1)
    hidden = nn.functional.gelu(block.first((1 + a2) * norm(expected) + b2), approximate="tanh")
    torch.testing.assert_close(block(h, c), expected + g2 * block.second(hidden), rtol=1e-12, atol=1e-12)


def test_positions_are_sines_and_cosines_of_row_and_column() -> None:
    table = dit.positions(3, 8).reshape(3, 3, 8)
    for row in range(3):
        for column in range(3):
            expected = [f(k * w) for k in (row, column) for f in (math.sin, math.cos) for w in (1.0, 0.01)]
            torch.testing.assert_close(table[row, column], torch.tensor(expected))


def test_only_positions_tell_patches_apart() -> None:
    """Without them, patches that change places change places in the answer, and do nothing else."""
    net = randomised(DiT(4, width=8, depth=1, heads=2)).double()
    x = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    t = torch.tensor([0.2, 0.7], dtype=torch.float64)
    assert (net(x.roll(2, 3), t) - net(x, t).roll(2, 3)).abs().max() > 1e-3
    net.positions.zero_()
    torch.testing.assert_close(net(x.roll(2, 3), t), net(x, t).roll(2, 3), rtol=1e-12, atol=1e-12)


def test_patches_are_put_back_where_they_came_from() -> None:
    """With stem and head inverse to each other, and no position, the network passes an image of the unit sphere,
    scaled and shifted by its last modulation.
    """
    net = DiT(4, width=4, depth=0, heads=1).double()
    x = torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        net.stem.weight.copy_(torch.eye(4))
        net.head.weight.copy_(torch.eye(4))
        net.stem.bias.zero_()
        net.positions.zero_()
        net.modulation.bias.copy_(torch.arange(8) / 8.0)
    shift, scale = net.modulation.bias.chunk(2)
    squares = x.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)
    normal = (squares - squares.mean(4, keepdim=True)) / (squares.var(4, keepdim=True, correction=0) + 1e-5).sqrt()
    found = net(x, torch.zeros(3, dtype=torch.float64)).unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)
    torch.testing.assert_close(found, normal * (1.0 + scale) + shift, rtol=1e-12, atol=1e-12)


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
        (lambda: DiT(9), "size 9 must be a multiple of the patch, 2"),
        (lambda: DiT(8, width=18, heads=2), "width 18 must be a multiple of 4"),
        (lambda: DiT(8, width=16, heads=3), "of the 3 heads"),
        (lambda: DiT(8)(torch.zeros(2, 1, 4, 4), torch.zeros(2)), r"have shape \(1, 4, 4\), but .* \(B, 1, 8, 8\)"),
    ],
)
def test_architectures_that_do_not_fit_are_refused(build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
