"""The losses of flow and score matching: what they have in common, and what minimises them.

    L_CFM(u) = E ‖u(x_t) − (α' x₀ + σ' ε)‖² = E ‖u(x_t) − u*(x_t)‖² + E tr Cov(α' x₀ + σ' ε | x_t)

The last term does not depend on u: both losses have one gradient, and u* is the conditional mean. All expectations are
sums over Gauss nodes (`quadrature`). They are exact up to rounding for normal data, where the integrands are quadratic
in (x₀, ε). For a mixture the error falls tenfold with every 16 nodes, from 1e-8 at 48: 64 stay well below
`NODE_ERROR` = 2e-8.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ....generative.paths import VE, CondOT, GaussianPath
from ....generative.training import squared_error, target
from ...oracles import GaussianMixture
from ..claim import Bound, Check, claim
from ..sources import BLOG, NOTES_2025, SLIDES, TUTORIAL, VINCENT
from ..tools.errors import largest
from ..tools.points import (
    BROAD_MIXTURE,
    FEATURES,
    NODE_ERROR,
    PATHS,
    Net,
    affine_network,
    exact,
    gaussian,
    name_of,
    point,
    residual,
    triples,
)
from ..tools.quadrature import Nodes, legendre, nodes


def loss(net: Net, path: GaussianPath, kind: str, at: Nodes) -> float:
    """E ‖net − target‖²."""
    return at.mean(squared_error(net, path, kind, at.t, at.x0, at.eps)).item()


def excess(net: Net, data: GaussianMixture, path: GaussianPath, kind: str, at: Nodes) -> float:
    """E ‖net − marginal target‖²."""
    x = at.x(path)
    return at.mean((net(x, at.t, None) - exact(data, kind, path)(x, at.t)).square()).item()


@claim(
    "A101",
    NOTES_2025["Theorem 18"],
    BLOG["section 3.3"],
    statement="The loss of conditional flow matching exceeds the loss of flow matching by a constant, which is s π/2 "
    "for N(0, s²) on the straight path.",
    formula="L_CFM(u) − L_FM(u) = E tr Cov(α' x₀ + σ' ε | x_t) = s π/2",
)
def constant_of_flow_matching() -> list[Check]:
    """Exact nodes in x₀ and ε; in t the integrand has poles at 1/(1 ± is), so that 64 Legendre nodes err by less than
    1.9^(−128) for s = 1/2, 1, 2. What is left is the rounding of sums of some 600 terms: 1e-12."""
    path, found = CondOT(), []
    for s in (0.5, 1.0, 2.0):
        data, at = gaussian(0.0, s), nodes(gaussian(0.0, s), 3, legendre(64))
        ideal = loss(exact(data, "velocity", path), path, "velocity", at)
        other = loss(affine_network, path, "velocity", at) - excess(affine_network, data, path, "velocity", at)
        found += [
            Check(ideal, s * math.pi / 2, 1e-12, f"the least loss, s = {s:g}"),
            Check(other, s * math.pi / 2, 1e-12, f"the difference for u = 0.3 x − 0.1, s = {s:g}"),
        ]
    return found


@claim(
    "A102",
    NOTES_2025["Theorem 18"],
    statement="Flow matching and conditional flow matching have the same gradient in the parameters of the network.",
    formula="∇_θ L_CFM = ∇_θ L_FM",
)
def same_gradient() -> list[Check]:
    """u = θ₀ + θ₁ tanh x + θ₂ t x on a mixture: a gradient is 2 E[(u − target) h], whose error is that of the nodes,
    `NODE_ERROR` at 64. The line on N(0, 1) has the gradient (2 · 0.3 · 2/3, −0.2), to rounding."""
    path = CondOT()

    def gradient(data: GaussianMixture, at: Nodes, h: list[Tensor], theta: list[float], marginal: bool) -> list[float]:
        parameters = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in theta]

        def net(x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
            return torch.stack([p * f for p, f in zip(parameters, h, strict=True)]).sum(0)

        x = at.x(path)
        aim = exact(data, "velocity", path)(x, at.t)
        square = (net(x, at.t) - aim) ** 2 if marginal else squared_error(net, path, "velocity", at.t, at.x0, at.eps)
        return [g.item() for g in torch.autograd.grad(at.mean(square), parameters)]

    at = nodes(BROAD_MIXTURE, 64, legendre(24))
    x, theta = at.x(path), [0.3, -0.8, 0.5]
    features = [torch.ones_like(x), x.tanh(), at.t[:, None] * x]
    both = (gradient(BROAD_MIXTURE, at, features, theta, marginal) for marginal in (False, True))
    found = [Check(a, b, NODE_ERROR, f"θ_{i} on a mixture") for i, (a, b) in enumerate(zip(*both, strict=True))]
    data, at = gaussian(0.0, 1.0), nodes(gaussian(0.0, 1.0), 3, legendre(64))
    x = at.x(path)
    slope, shift = gradient(data, at, [x, torch.ones_like(x)], [0.3, -0.1], False)
    return [*found, Check(slope, 0.4, 1e-12, "the slope on N(0, 1)"), Check(shift, -0.2, 1e-12, "the shift on N(0, 1)")]


@claim(
    "A103",
    NOTES_2025["Theorem 18"],
    statement="A network that is regressed on the conditional target finds the marginal one: no function of (x, t) "
    "has a smaller loss than u*.",
    formula="E[(α' x₀ + σ' ε − u*(x_t)) h(x_t)] = 0 for every h",
)
def minimiser_of_flow_matching() -> list[Check | Bound]:
    """The loss is quadratic, so that this is necessary and sufficient: L(u* + h) = L(u*) + E h². Six functions h, every
    kind of prediction that is finite at both ends, a mixture; nodes as in the heading, `NODE_ERROR`.

    A perceptron of 16 units, trained on N(0, 1) by its loss over nodes, comes within 1e-3 of the floor π/2 (A101),
    and never below it. On other nodes, where the error for a function of this kind is below 1e-6, what it exceeds the
    floor by is its mean square distance from u*.
    """
    found: list[Check | Bound] = []
    for path in PATHS[:2]:
        at = nodes(BROAD_MIXTURE, 64, legendre(24))
        for kind in ("x0", "eps", "v", "velocity"):
            left = residual(BROAD_MIXTURE, kind, path, at)
            worst = largest(*(at.mean(left * h(at.x(path))) for h in FEATURES))
            found.append(Check(worst, 0.0, NODE_ERROR, f"{kind} on {name_of(path)}"))
    path, data = CondOT(), gaussian(0.0, 1.0)
    net, at = _trained(path, nodes(data, 12, legendre(16))), nodes(data, 24, legendre(40))
    with torch.no_grad():
        above, distance = loss(net, path, "velocity", at) - 0.5 * math.pi, excess(net, data, path, "velocity", at)
    return [
        *found,
        Bound(above, 1e-3, "the loss of a trained network, less the floor"),
        Bound(above, 0.0, "the same, from below", above=True),
        Check(above, distance, 1e-6, "the same, and the mean square distance from u*"),
    ]


def _trained(path: GaussianPath, at: Nodes) -> Net:
    """A perceptron of (x, t) whose loss over these nodes 200 steps of L-BFGS made small."""
    layers = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1)).double()
    optimiser = torch.optim.LBFGS(layers.parameters(), max_iter=200, history_size=20, line_search_fn="strong_wolfe")

    def net(x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        made: Tensor = layers(torch.cat([x, t[:, None]], 1))
        return made

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = at.mean(squared_error(net, path, "velocity", at.t, at.x0, at.eps))
        value.backward()  # type: ignore[no-untyped-call]  # torch's
        return value

    optimiser.step(closure)  # type: ignore[no-untyped-call]  # torch's
    return net


@claim(
    "A104",
    NOTES_2025["Eq. 41-42"],
    statement="The expectation over the marginal path is the expectation over the data of that over the conditional "
    "path.",
    formula="E_{x ~ p_t} f = E_{x₀} E_{x ~ p_t(·|x₀)} f",
)
def marginal_expectation() -> list[Check]:
    """f = x² + sin x. On the left Legendre's rule with 200 nodes on [−9, 9], which cuts e^(−45) of the density and has
    no other error above rounding; on the right exact nodes up to rounding: f is entire. 1e-12."""
    x, weight = legendre(200, -9.0, 9.0)
    found = []
    for path in PATHS:
        for t in (0.2, 0.6, 0.95):
            density = BROAD_MIXTURE.log_prob(x[:, None], t, path).exp()
            at = nodes(BROAD_MIXTURE, 24, t)
            joint = at.mean(at.x(path).square() + at.x(path).sin()).item()
            alone = (weight * density * (x**2 + x.sin())).sum().item()
            found.append(Check(alone, joint, 1e-12, f"{name_of(path)}, t = {t:g}"))
    return found


@claim(
    "A105",
    NOTES_2025["Example 19"],
    SLIDES,
    BLOG["section 3.3"],
    statement="The conditional field at α x₀ + σ ε is α' x₀ + σ' ε, sample by sample; on the straight path it is x₀ − "
    "ε.",
    formula="(α' − σ'α/σ) x₀ + (σ'/σ) x = α' x₀ + σ' ε",
)
def conditional_target() -> list[Check]:
    """The field of data at the point x₀ against the target of the loss: an identity whose rounding is magnified by
    σ'/σ, below 100 at these times, so that 1e-12 is some fifty units of it."""
    x0, eps, t = triples()
    found = []
    for path in PATHS:
        aim = target("velocity", path, t, x0, eps)
        field = torch.cat([
            point(z.item(), path).predict("velocity", s.item(), path.alpha(s) * z + path.sigma(s) * e)
            for z, e, s in zip(x0[:, None], eps[:, None], t, strict=True)
        ])  # fmt: skip
        found.append(Check(largest(field - aim), 0.0, 1e-12, name_of(path)))
    straight = target("velocity", CondOT(), t, x0, eps) - (x0 - eps)
    return [*found, Check(largest(straight), 0.0, 0.0, "CondOT, x₀ − ε")]


@claim(
    "A106",
    NOTES_2025["Theorem 20"],
    TUTORIAL["section 2.4"],
    SLIDES,
    VINCENT,
    statement="The losses of score matching and of denoising score matching differ by a constant that does not depend "
    "on the network, so that they share their minimiser.",
    formula="½ L_SM − ½ L_CSM = −s²/(2 q (s² + q)) at noise of variance q",
)
def constant_of_score_matching() -> list[Check]:
    """N(0, s²) with noise q on a path with α = 1: exact nodes for three affine networks, rounding of numbers of order
    1/q, 1e-12. On a mixture the residual is orthogonal to every h, to `NODE_ERROR`."""
    path, s, found = VE(), 1.3, []
    for q in (0.25, 1.0):
        data, t = gaussian(0.0, s), 1.0 - math.sqrt(q) / path.sigma_max
        at = nodes(data, 3, t)
        for name, net in (
            ("ideal", exact(data, "score", path)),
            ("line", affine_network),
            ("zero", lambda x, t, _: 0.0 * x),
        ):
            apart = excess(net, data, path, "score", at) - loss(net, path, "score", at)
            found.append(Check(0.5 * apart, -(s**2) / (2 * q * (s**2 + q)), 1e-12, f"{name}, q = {q:g}"))
    at = nodes(BROAD_MIXTURE, 64, 0.6)
    left = residual(BROAD_MIXTURE, "score", CondOT(), at)
    worst = largest(*(abs(at.mean(left * h(at.x(CondOT()))).item()) for h in FEATURES))
    return [*found, Check(worst, 0.0, NODE_ERROR, "orthogonality on a mixture")]


@claim(
    "A107",
    NOTES_2025["Example 22"],
    TUTORIAL["section 2.5"],
    BLOG["section 4.2"],
    statement="The loss of the score is the loss of ε over σ². On N(0, 1) the least losses are 1/2 for ε and for x₀, "
    "and 1 for v.",
    formula="‖s + ε/σ‖² = σ⁻² ‖σ s + ε‖²",
)
def least_losses() -> list[Check]:
    """Sample by sample the two squares differ by rounding, 1e-12 relative. Floors: exact nodes in x₀ and ε, 64 in t
    with poles at (1 ± i)/2 or none, rounding 1e-12."""
    x0, eps, t = triples()
    path = CondOT()
    score = squared_error(affine_network, path, "score", t, x0, eps)
    sigma = 1.0 - t[:, None]
    noise = squared_error(lambda x, t, _: -sigma * affine_network(x, t), path, "eps", t, x0, eps)
    apart = largest(score * sigma**2 / noise - 1.0)
    found = [Check(apart, 0.0, 1e-12, "σ² times the square of the score over that of ε, less 1")]
    data, at, cosine = gaussian(0.0, 1.0), nodes(gaussian(0.0, 1.0), 3, legendre(64)), PATHS[1]
    for floor, kind, along in ((0.5, "eps", path), (0.5, "eps", cosine), (0.5, "x0", cosine), (1.0, "v", cosine)):
        least = loss(exact(data, kind, along), along, kind, at)
        found.append(Check(least, floor, 1e-12, f"the least loss of {kind} on {name_of(along)}"))
    return found
