"""The doors of the oracles: a wrong value ends in one sentence, and numbers of every kind pass."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from toy import GAUSSIAN, LINE, MIXTURE

from fokker.generative import CondOT, Denoiser
from fokker.solvers import WhiteNoise
from fokker.verification import (
    Bias,
    Empirical,
    Gaussian,
    GaussianClasses,
    GaussianMixture,
    Laplace,
    OrnsteinUhlenbeck,
    PointMass,
    Rounding,
    Smooth,
    Student,
    Uniform,
    White,
    guided_law,
    perturbed,
)  # fmt: skip
from fokker.verification.oracles import Law, law_of, marginal, relative_error, reversed_transition

PATH, NAN = CondOT(), math.nan
MEAN, COV = GAUSSIAN.means[0], GAUSSIAN.covs[0]
DATA = torch.arange(6, dtype=torch.float64).reshape(3, 2)
X, TIMES = torch.zeros(4, 2, dtype=torch.float64), torch.full((4,), 0.5, dtype=torch.float64)
OU, CLASSES = OrnsteinUhlenbeck(1.0, 2.0), GaussianClasses([GAUSSIAN, MIXTURE])
GRAD = torch.tensor(0.5, requires_grad=True)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        # laws
        (lambda: Gaussian(MEAN * NAN, COV), "square of means is nan at"),
        (lambda: Gaussian(MEAN.tolist(), COV), "mean is .*, but must be a tensor"),
        (lambda: Gaussian(MEAN, COV[:1]), r"give \(d,\) and \(d, d\)"),
        (lambda: Gaussian(MEAN, COV * math.inf), "covs is inf at"),
        (lambda: Gaussian(MEAN, COV.to_sparse()), "sparse"),
        (lambda: Gaussian(MEAN.to("meta"), COV), "on the device meta"),
        (lambda: GaussianMixture(MIXTURE.weights * NAN, MIXTURE.means, MIXTURE.covs), "weights is nan"),
        (lambda: GaussianMixture(MIXTURE.weights, 1e200 * MIXTURE.means, MIXTURE.covs), "square of means is inf"),
        (lambda: Empirical(DATA.long()), "data is torch.int64"),
        (lambda: Empirical(DATA / 0.0), "square of data is nan at"),
        (lambda: Empirical(DATA, chunk=2.5), "chunk is 2.5"),
        (lambda: Empirical(DATA, torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)), "the least is 0"),
        (lambda: PointMass(MEAN * NAN), "square of data is nan"),
        (lambda: Student(NAN, MEAN, COV), "freedom is nan"),
        (lambda: Student(3.0, MEAN, -COV), "all must be positive"),
        (lambda: Uniform(0.0, math.inf), "high is inf"),
        (lambda: Uniform(0.0, 1e-200), "high - low is 1e-200"),
        (lambda: Uniform(0.0, 1.0, dtype=float), "dtype is float, but must be a floating-point dtype"),
        (lambda: Uniform(0.0, 1.0, dtype=torch.int64), "dtype is torch.int64"),
        (lambda: Laplace(0.0, 0.0), "scale is 0"),
        (lambda: Laplace(GRAD), "centre requires a gradient"),
        # their fields
        (lambda: MIXTURE.score(X * NAN, 0.5, PATH), "square of x is nan at"),
        (lambda: MIXTURE.score(X, NAN, PATH), "t is nan"),
        (lambda: MIXTURE.v(X, math.nan, PATH), "t is nan"),
        (lambda: MIXTURE.v(X, 1e300, PATH), "t is 1e\\+300"),
        (lambda: MIXTURE.x0(X, 1e300 * TIMES, PATH), "square of t is inf"),
        (lambda: MIXTURE.eps(X, NAN * TIMES, PATH), "t is nan"),
        (lambda: MIXTURE.velocity(X.tolist(), 0.5, PATH), "x is .*, but must be a tensor"),
        (lambda: MIXTURE.divergence(X, 0.5, "CondOT"), "path is of type str"),
        (lambda: MIXTURE.log_prob(X.to("meta"), 0.5, PATH), "on meta, but this oracle on cpu"),
        (lambda: MIXTURE.denoiser(PATH).output(0.5, X.to("meta")), "on meta, but this oracle on cpu"),
        (lambda: MIXTURE.sample(10**12, 0), "n is 1000000000000, which takes"),
        (lambda: MIXTURE.sample(2.5, 0), "n is 2.5"),
        (lambda: MIXTURE.sample(2, "1"), "seed is '1'"),
        (lambda: MIXTURE.moments(GRAD, PATH), "t requires a gradient"),
        (lambda: GAUSSIAN.entropy(TIMES, PATH), "t has 4 entries"),
        (lambda: MIXTURE.characteristic(X[0]), r"of shape \(n, 2\)"),
        (lambda: LINE.log_cdf(X[:, :1], 0.5, PATH, upper=0.5), "upper must be True, False"),
        (lambda: MIXTURE.denoiser(PATH, "score_"), "Unknown kind"),
        # classes and guidance
        (lambda: GaussianClasses([GAUSSIAN, LINE]), r"classes\[1\] has 1 dimensions"),
        (lambda: GaussianClasses([GAUSSIAN], population=DATA), "population is of type Tensor"),
        (lambda: GaussianClasses([GAUSSIAN, MIXTURE], 2.0 * MIXTURE.weights, MIXTURE), "priors have sum 2"),
        (lambda: CLASSES.given(3), "label is 3, but must be a whole number from 0 to 2"),
        (lambda: CLASSES.given(torch.tensor([0, 3])), "label goes from 0 to 3"),
        (lambda: CLASSES.classifier(PATH)(X, TIMES, TIMES), "must hold integers"),
        (lambda: guided_law(LINE, LINE, 2.0, NAN), "log_snr is nan"),
        (lambda: guided_law(LINE, LINE, 1e300), "no finite moments"),
        # processes and laws of outputs
        (lambda: OrnsteinUhlenbeck(-1.0, 1.0), "theta is -1"),
        (lambda: OrnsteinUhlenbeck(1.0, 1e300), "stationary variance, .*, is inf"),
        (lambda: OU.variance(0.5, -1.0), "start is -1"),
        (lambda: OU.mean(X * NAN, 0.5), "x is nan"),
        (lambda: OU.stationary(10**9), "dim is 1000000000, which takes"),
        (lambda: OU.path(X, [0.0, 1.0, 1.0], WhiteNoise()), "but must rise"),
        (lambda: OU.path(X, [0.0, 1.0], 3), "noise is of type int"),
        (lambda: law_of(DATA), "law is of type Tensor"),
        (lambda: law_of(Law(COV, MEAN)), r"give \(d,\) and \(d, d\)"),
        (lambda: law_of(Law(MEAN, COV * NAN)), "cov is nan"),
        (lambda: marginal(GAUSSIAN, PATH, NAN), "t is nan"),
        (lambda: reversed_transition(GAUSSIAN, PATH, -1.0, 0.1, 0.2), "eta is -1"),
        # errors of known size
        (lambda: Bias(math.inf), "size is inf"),
        (lambda: White(0.1, 2**64), "seed is 18446744073709551616"),
        (lambda: Smooth(0.1, features=0), "features is 0"),
        (lambda: Smooth(0.1, features=10**9), "features is 1000000000, which takes"),
        (lambda: Rounding(float), "dtype is the class float"),
        (lambda: perturbed(GAUSSIAN, 0.1, PATH), "error is of type float"),
        (lambda: relative_error(GAUSSIAN.denoiser(PATH), LINE, 0.5), r"needs torch.float64 of shape \(B, 2\)"),
        (lambda: relative_error(GAUSSIAN.denoiser(PATH), GAUSSIAN, 0.5, n=1), "n is 1"),
        (lambda: relative_error(Denoiser(lambda x, t: x * NAN, PATH, predicts="v"), GAUSSIAN, 0.5), "output is nan"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_in_one_sentence(call: Callable[[], object], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message) as failure:
        call()
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("kind", [np.float64, np.float32, lambda value: torch.tensor(value, dtype=torch.float64)])
def test_numbers_of_every_kind_are_floats(kind: Callable[[float], float]) -> None:
    law, x = Laplace(kind(0.5), kind(2.0)), X[:, :1]
    assert type(law.centre) is type(law.scale) is float
    assert torch.equal(law.score(x, kind(0.25), PATH), Laplace(0.5, 2.0).score(x, 0.25, PATH))
    assert OrnsteinUhlenbeck(kind(0.5), kind(2.0)) == OrnsteinUhlenbeck(0.5, 2.0)
    assert Smooth(kind(0.5), features=np.int64(3)) == Smooth(0.5, features=3)
    assert torch.equal(GAUSSIAN.sample(np.int64(3), np.int64(1)), GAUSSIAN.sample(3, 1))


def test_no_state_is_a_batch_too() -> None:
    none = X[:0]
    assert MIXTURE.sample(0, 0, 0.5, PATH).shape == none.shape
    for field in ("x0", "score", "eps", "v", "velocity"):
        assert getattr(MIXTURE, field)(none, 0.5, PATH).shape == none.shape
    assert LINE.flow_map(none[:, :1], 0.1, 0.9, PATH).shape == (0, 1)
