"""Formulas that we suspected of being wrong, and that are right as printed: fields of a path, and its schedule."""

from __future__ import annotations

import math

import torch

from ....generative import VP, CondOT, Cosine, diffusion_sde, reverse_sde
from ....generative.equations import constant
from ..claim import Check, claim, uncovered
from ..sources import BLOG, NOTES_2025, NOTES_2026, SLIDES, TUTORIAL
from ..tools.errors import largest
from ..tools.points import MIXTURE, column, grid, point, schedule_at
from ..tools.quadrature import legendre


@claim(
    "C6i",
    SLIDES["Flow Matching"],
    NOTES_2025["Eq. 21, 28 and 54-56"],
    BLOG["section 3.2"],
    statement="The conditional velocity and score, and the conversions between the two, are right as printed.",
    formula="u(x|z) = (α' − (β'/β) α) z + (β'/β) x = α' z + β' ε;  u = (β² α'/α − β' β) s + (α'/α) x",
)
def velocities_and_scores() -> list[Check]:
    """At t = 0.1, 0.5 and 0.9 of two paths, with α'/α and β'/β up to 10: 1e-12. Of data at a point through a denoiser
    that predicts x₀, of a mixture by its own fields."""
    of_points, of_marginals, of_scores, of_drifts = [], [], [], []
    z, eps, x = 1.4, column([-0.6, 0.9, 2.0]), column([-1.0, 0.4, 1.5])
    for path in (CondOT(), Cosine()):
        for t in (0.1, 0.5, 0.9):
            a, b, da, db = schedule_at(path, t)
            k, noisy = b**2 * da / a - db * b, a * z + b * eps
            known = point(z, path)
            printed = (da - db / b * a) * z + db / b * noisy
            of_points += [largest(known.predict("velocity", t, noisy) - form) for form in (printed, da * z + db * eps)]
            of_points.append(largest(known.predict("score", t, noisy) + (noisy - a * z) / b**2))
            score, velocity = MIXTURE.score(x, t, path), MIXTURE.velocity(x, t, path)
            of_marginals.append(largest(k * score + da / a * x - velocity))
            of_scores.append(largest((a * velocity - da * x) / (b**2 * da - a * db * b) - score))
            drift = diffusion_sde(MIXTURE.denoiser(path), constant(0.7), t, 0.95).drift(t, x)
            of_drifts.append(largest((k + 0.5 * 0.7**2) * score + da / a * x - drift))
    return [
        Check(largest(*of_points), 0.0, 1e-12, "u(x|z) in both forms, and the conditional score"),
        Check(largest(*of_marginals), 0.0, 1e-12, "velocity from the score (proposition 1, Eq. 54)"),
        Check(largest(*of_scores), 0.0, 1e-12, "score from the velocity (Eq. 55)"),
        Check(largest(*of_drifts), 0.0, 1e-12, "drift of the stochastic equation (Eq. 56)"),
    ]


@claim(
    "C6j",
    NOTES_2025["section 4.3"],
    statement="The closed form of the forward process and the equation of its reversal are right as printed.",
    formula="α = exp ∫a, b² = α² ∫ g²/α²;  reversed: dx = [−a x + g² s] dt + g dW",
)
def forward_and_back() -> list[Check]:
    """VP with β linear in the time s = 1 − t of noising: a = −β/2, g² = β. The integrals of β and of β e^{∫β}, smooth
    over a range of e^{10} at s = 1, by 60 Gauss nodes: 1e-12 of b². The drift of `reverse_sde` is a sum of two terms up
    to 20, 1e-12.
    """
    path, gaps, drifts, x = VP(), [], [], column([-1.0, 0.4, 1.5])

    def beta(s: float) -> float:
        return path.beta_min + s * (path.beta_max - path.beta_min)

    def decay(s: float) -> float:
        nodes, weights = legendre(4, 0.0, s)
        return 0.5 * float(weights @ (path.beta_min + nodes * (path.beta_max - path.beta_min)))

    for s in (0.2, 0.6, 1.0):
        nodes, weights = (part.tolist() for part in legendre(60, 0.0, s))
        alpha = math.exp(-decay(s))
        squared = alpha**2 * sum(w * beta(u) * math.exp(2.0 * decay(u)) for u, w in zip(nodes, weights, strict=True))
        gaps += [abs(alpha - path.alpha(1.0 - s)), abs(squared - path.sigma(1.0 - s) ** 2)]
        drift = reverse_sde(MIXTURE.denoiser(path)).drift(1.0 - s, x)
        drifts.append(largest(0.5 * beta(s) * x + beta(s) * MIXTURE.score(x, 1.0 - s, path) - drift))
    return [
        Check(largest(*gaps), 0.0, 1e-12, "α and b², less the integrals"),
        Check(largest(*drifts), 0.0, 1e-12, "drift of the reversed process"),
    ]


@claim(
    "C6k",
    TUTORIAL["listing of CosineNoiseSchedule"],
    statement="The schedule's code keeps its bounds in single precision, and the squares of its coefficients add up "
    "to one.",
    formula="λ = log α²/σ² from −15 to 15; α² + σ² = 1",
)
def schedule_in_single_precision() -> list[Check]:
    """The tutorial's −2 log tan of the angle, in float32. The angle of λ = −15 is π/2 − 5.5e-4, which rounds by 6e-8,
    so that its tangent is off by 1.1e-4 and λ by 2.2e-4; that of λ = 15 is 5.5e-4, where rounding is relative: 1e-6.
    `Cosine`, whose λ is half of it, keeps the complement of the angle, and is as good at both ends: 1e-5 in 15.
    α² + σ² by two sigmoids in float64: 5e-16."""
    low, high = (torch.tensor(math.atan(math.exp(-0.5 * value))) for value in (15.0, -15.0))
    ends = [float(-2.0 * torch.log(torch.tan(angle))) for angle in (high, low)]
    path, t = Cosine(), grid(100)
    log_snr = path.log_snr(t)
    ours = path.log_snr(torch.tensor([0.0, 1.0]))
    total = torch.sigmoid(log_snr) + torch.sigmoid(-log_snr)
    squares = torch.as_tensor(path.alpha(t) ** 2 + path.sigma(t) ** 2)
    return [
        Check(ends[0], -15.0, 2.2e-4, "λ at the noise, float32"),
        Check(ends[1], 15.0, 1e-6, "λ at the data, float32"),
        Check(largest(ours - torch.tensor([-15.0, 15.0])), 0.0, 1e-5, "our log-SNR at both ends, float32"),
        Check(largest(total - 1.0), 0.0, 5e-16, "α² + σ² − 1, as the tutorial has them"),
        Check(largest(squares - 1.0), 0.0, 5e-16, "α² + σ² − 1, as `Cosine` has them"),
    ]


@uncovered("C6l", NOTES_2026, statement="The edition of 2026 has no new errors in its equations.")
def no_new_errors_in_2026() -> None:
    """Nothing to compute: a statement about all of a text. Its equations are those of the edition of 2025."""
