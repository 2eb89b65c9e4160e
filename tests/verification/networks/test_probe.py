"""The detective against exact networks of every convention, the shipped ones, and those that follow none.

On exact networks the answer is known. A rival is kept at 4.5 standard errors, so that a wrong verdict by chance has a
probability of 3e-6 a rival; seeds are fixed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch import Tensor, nn
from toy import MIXTURE

from fokker.generative import EDM, VE, VP, CondOT, Cosine, Denoiser, GaussianPath, Shifted, Table, linear_betas, load
from fokker.generative.denoiser import KINDS
from fokker.generative.paths import squared_cosine_betas
from fokker.generative.training import dataset
from fokker.verification.networks import probe
from fokker.verification.networks.conventions import Convention
from fokker.verification.networks.finding import Finding
from fokker.verification.networks.network_clock import NetworkClock

DATA = MIXTURE.sample(2000, seed=0)
TABLES = [Table(linear_betas()), Table(squared_cosine_betas())]
PATHS: list[GaussianPath] = [CondOT(), VP(), Cosine(), VE()]
BASES = ("t", "sigma", "log_snr", "half_log_snr", "index")

Net = Callable[..., Tensor]


def time_of_sigma(path: GaussianPath, sigma: Tensor) -> Tensor:
    """The time at which a path has this σ, written out."""
    if isinstance(path, CondOT):
        return 1.0 - sigma
    if isinstance(path, VE):
        return 1.0 - sigma / path.sigma_max
    return path.time(torch.log((1.0 - sigma) * (1.0 + sigma) / sigma**2))


def time_of(path: GaussianPath, base: str, falls: bool, value: Tensor) -> Tensor:
    """The inverse of each clock, by hand."""
    match base:
        case "t":
            return 1.0 - value if falls else value
        case "sigma":
            return time_of_sigma(path, value if falls else path.sigma(0.0) - value)
        case "log_snr":
            return path.time(-value if falls else value)
        case "half_log_snr":
            return path.time(2.0 * (-value if falls else value))
    return path.at(value if falls else path.steps - 1 - value)


def exact(kind: str, path: GaussianPath, base: str = "t", falls: bool = False) -> Net:
    field = getattr(MIXTURE, kind)
    return lambda x, value: field(x, time_of(path, base, falls, value), path)


def found(net: Net, **options: object) -> Finding:
    return probe(net, DATA, **options)


def names(finding: Finding) -> set[Convention]:
    assert finding.convention is not None, str(finding)
    return {finding.convention, *finding.equivalent, *finding.near}


def paths_of(base: str) -> list[GaussianPath]:
    return list(TABLES) if base == "index" else PATHS


ALL = list(product(KINDS, BASES, (False, True)))


def check(kind: str, path: GaussianPath, base: str, falls: bool) -> None:
    finding = found(exact(kind, path, base, falls))
    truth = Convention(kind, path, NetworkClock(base, falls))
    assert truth in names(finding), str(finding)
    assert {each.predicts for each in names(finding)} == {kind}
    assert all(each.sign == 1 for each in names(finding))
    assert finding.removable.value < 3.0 * finding.removable.standard_error


def turn(kind: str, base: str, falls: bool) -> int:
    """Whose turn it is: every path has it with every kind and clock."""
    return KINDS.index(kind) + BASES.index(base) + falls


@pytest.mark.parametrize(
    ("kind", "base", "falls"),
    [pytest.param(*each, marks=[pytest.mark.slow] * (turn(*each) % 3 > 0)) for each in ALL],
)
def test_every_kind_clock_and_direction_is_named(kind: str, base: str, falls: bool) -> None:
    """Every kind meets two clocks at least, and every clock two kinds; `make slow` has all."""
    paths = paths_of(base)
    check(kind, paths[turn(kind, base, falls) % len(paths)], base, falls)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "base", "falls"), ALL)
def test_every_kind_clock_and_direction_is_named_on_every_path(kind: str, base: str, falls: bool) -> None:
    for path in paths_of(base):
        check(kind, path, base, falls)


def test_the_clocks_scale_is_named() -> None:
    """A straight path with times 1000 (1 − t), and minus the velocity, is what public flow models are."""
    field = exact("velocity", CondOT(), "t", True)
    finding = found(lambda x, value: -field(x, value / 1000.0))
    assert finding.convention == Convention("velocity", CondOT(), NetworkClock("t", True, 1000.0), sign=-1)
    assert "-velocity on CondOT(), clock 1000 (1 - t)" in str(finding)


def test_a_scale_of_ones_own_can_be_tried() -> None:
    finding = found(lambda x, value: exact("x0", VP())(x, value / 7.0), scales=(1.0, 7.0))
    assert finding.convention == Convention("x0", VP(), NetworkClock("t", scale=7.0))


@pytest.mark.parametrize(("path", "shift"), [(CondOT(), -0.69), (VP(), 0.37)])
def test_a_shifted_path_is_found_with_its_shift(path: GaussianPath, shift: float) -> None:
    """Shifts are tried in steps of 0.02. A shift that is off by δ costs of order δ² of the error; its standard error
    with 3000 draws in the plane is about δ/100, so that 4.5 of them leave |δ| ≲ 0.1."""
    finding = found(exact("eps", Shifted(path, shift)))
    assert isinstance(finding.convention, Convention)
    assert isinstance(finding.convention.path, Shifted)
    assert (finding.convention.path.path, finding.convention.predicts) == (path, "eps")
    assert abs(finding.convention.path.shift - shift) < 0.06
    least, largest = finding.shift or (math.nan, math.nan)
    assert shift - 0.2 < least <= shift <= largest < shift + 0.2


def test_input_over_alpha_is_told_from_the_state_itself() -> None:
    """The network of a VP path behind a wrapper that adds noise alone sees x/α."""

    def net(x: Tensor, value: Tensor) -> Tensor:
        return MIXTURE.eps(VP().alpha(1.0 - value).unsqueeze(1) * x, 1.0 - value, VP())

    finding = found(net)
    truth = Convention("eps", VP(), NetworkClock("t", True), over_alpha=True)
    assert finding.convention == truth
    check_denoiser(finding, net, VP())


@pytest.mark.parametrize("sign", [1, -1])
def test_preconditioning_is_recognised_with_its_deviation(sign: int) -> None:
    frame = EDM(0.5)

    def net(x: Tensor, clock: Tensor) -> Tensor:
        sigma = torch.exp(4.0 * clock)
        skip, gain, scale, _ = frame.scales(torch.ones_like(sigma), sigma)
        y = x / scale.unsqueeze(1)
        x0 = MIXTURE.x0(y, 1.0 - sigma / 80.0, VE())
        return sign * (x0 - skip.unsqueeze(1) * y) / gain.unsqueeze(1)

    finding = found(net)
    assert finding.convention is not None
    assert (finding.convention.precondition, finding.convention.sign) == (frame, sign)
    check_denoiser(finding, net, VE())


def check_denoiser(finding: Finding, net: Net, path: GaussianPath) -> None:
    """The denoiser that it makes is exact, and so is the one of the line that it prints."""
    names = [EDM, VE, VP, CondOT, Cosine, Shifted, Table, Denoiser, linear_betas, squared_cosine_betas]
    scope: dict[str, object] = {each.__name__: each for each in names} | {"net": net}
    first, _, last = finding.line.partition("\n")
    exec(first, scope)  # the line is ours
    t = 0.6
    x = path.alpha(t) * DATA[:50] + path.sigma(t) * torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    expected = MIXTURE.score(x, t, path)
    for denoiser in (finding.denoiser(net), eval(last, scope)):
        torch.testing.assert_close(denoiser.predict("score", t, x), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("kind", "path", "base", "falls"),
    [("v", CondOT(), "t", True), ("eps", TABLES[0], "index", True), ("x0", VP(), "log_snr", True),
     ("velocity", CondOT(), "sigma", False), ("eps", TABLES[0], "index", False)],
)  # fmt: skip
def test_the_denoiser_of_the_verdict_is_exact(kind: str, path: GaussianPath, base: str, falls: bool) -> None:
    net = exact(kind, path, base, falls)
    check_denoiser(found(net, paths=[path]), net, path)


def test_labels_reach_the_network() -> None:
    label = torch.arange(len(DATA)) % 2
    data = DATA + label.unsqueeze(1)

    def net(x: Tensor, value: Tensor, label: Tensor) -> Tensor:
        moved = x - value.unsqueeze(1) * label.unsqueeze(1)
        return MIXTURE.x0(moved, value, CondOT()) + label.unsqueeze(1)

    finding = probe(net, data, label=label)
    assert finding.convention == Convention("x0", CondOT(), NetworkClock("t"))


def random_network() -> Net:
    generator = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 32), nn.Tanh(), nn.Linear(32, 2)).double()
    for weight in net.parameters():
        nn.init.normal_(weight, std=0.5, generator=generator)
    return lambda x, value: net(torch.cat([x, torch.tanh(value).unsqueeze(1)], 1))


NOISE = torch.Generator().manual_seed(0)
NONE: dict[str, Net] = {
    "random": random_network(),
    "noise": lambda x, value: torch.randn(x.shape, generator=NOISE, dtype=x.dtype),
    "nothing": lambda x, value: torch.zeros_like(x),
    "identity": lambda x, value: x,
    "one level for all": lambda x, value: MIXTURE.x0(x, 0.5, CondOT()),
}


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=[] if each in ("random", "nothing") else pytest.mark.slow) for each in NONE]
)
def test_a_network_of_no_convention_is_not_named(name: str) -> None:
    finding = found(NONE[name], samples=512)
    assert finding.convention is None
    assert not finding.explained
    assert finding.verdict == "cannot tell"
    assert "Nothing that was tried explains the output" in str(finding)
    assert finding.random == (name == "noise")
    with pytest.raises(ValueError, match="not known: Nothing"):
        _ = finding.line


def test_indistinguishable_conventions_are_told_as_such() -> None:
    """On N(0, I) the exact v along a variance-preserving path is zero at every time: any clock will do."""
    data = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    finding = probe(lambda x, value: torch.zeros_like(x), data)
    assert (finding.convention, finding.explained) == (None, True)
    assert len(finding.rivals) > 4
    assert {str(each.clock) for each in finding.rivals if each.predicts == "v"} >= {"t", "1 - t", "sigma", "log_snr"}
    assert "clock" not in finding.agreed
    json.dumps(finding.as_json())


def test_a_wrong_scale_of_the_data_is_not_explained_away() -> None:
    """A network that was trained on data of another scale is exact for none of the conventions here."""
    finding = probe(exact("eps", VP()), 0.3 * DATA)
    assert finding.convention is None


def test_the_finding_is_deterministic_and_json() -> None:
    one, two = (found(exact("v", Cosine()), paths=[Cosine()], scales=(1.0,)) for _ in range(2))
    assert one.as_json() == two.as_json()
    again = json.loads(json.dumps(one.as_json()))
    assert again["verdict"] == "v on Cosine(), clock t"
    assert again["line"] == 'path = Cosine()\nDenoiser(net, path, predicts="v", time="t")'
    assert again["candidates"][0]["error"] == pytest.approx(1.0, abs=0.01)
    assert len(again["levels"]) == 7


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits-flow", "digits-eps", "digits-rough"])
def test_the_shipped_networks_are_named(name: str) -> None:
    check_shipped(name)


@pytest.mark.parametrize("name", ["digits-flow", "digits-eps"])
def test_the_shipped_networks_are_named_among_fewer_paths(name: str) -> None:
    check_shipped(name, paths=[CondOT(), VP()], scales=(1.0,), samples=64)


def check_shipped(name: str, **options: object) -> None:
    truth, images = load(name), dataset("digits")
    finding = probe(truth.net, images.dequantisation(images.held_out, seed=0), **options)
    assert finding.convention == Convention(truth.predicts, truth.path, NetworkClock("t")), str(finding)


def test_arguments_are_checked() -> None:
    net = exact("x0", CondOT())
    with pytest.raises(TypeError, match="floating-point tensor of clean samples"):
        probe(net, torch.zeros(100, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match="has 8 samples"):
        probe(net, DATA[:8])
    with pytest.raises(ValueError, match="differ from each other"):
        probe(net, torch.ones(100, 2))
    with pytest.raises(ValueError, match="label has shape"):
        probe(net, DATA, label=torch.zeros(3, dtype=torch.int64))
    with pytest.raises(ValueError, match="samples is 4"):
        probe(net, DATA, samples=4)
    with pytest.raises(ValueError, match="return that shape"):
        probe(lambda x, value: x[:, :1], DATA)
    with pytest.raises(ValueError, match="nothing finite"):
        probe(lambda x, value: x / 0.0, DATA)


def test_a_network_that_refuses_a_clock_is_asked_with_another() -> None:
    """Tables of embeddings know whole indices from 0 to T − 1."""
    net = exact("eps", TABLES[0], "index", True)

    def picky(x: Tensor, value: Tensor) -> Tensor:
        if bool((value < 10.0).any()):
            raise IndexError("index out of range")
        return net(x, value)

    assert Convention("eps", TABLES[0], NetworkClock("index", True)) in names(found(picky))
