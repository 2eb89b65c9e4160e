"""The clocks that a network may have: a function of time with a direction and a scale.

    clock         from data to noise      reversed
    t             1 − t                   t
    sigma         σ                       σ(0) − σ
    log_snr       −2λ                     2λ, λ = log(α/σ)
    half_log_snr  −λ                      λ
    index         i of a `Table`          T − 1 − i

each times a scale, such as 1000 (1 − t). −λ/4 = log(σ/α)/4 is the clock of EDM.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...generative.paths import GaussianPath, Real, Table

__all__ = ["NetworkClock"]


@dataclass(frozen=True)
class NetworkClock:
    """A clock of the table above, times a scale.

    Attributes:
        base: "t", "sigma", "log_snr", "half_log_snr" or "index".
        falls: whether the clock falls from noise to data.
        scale: the factor.
    """

    base: str = "t"
    falls: bool = False
    scale: float = 1.0

    def __call__(self, path: GaussianPath, t: Real) -> Real:
        return self.scale * self._unit(path, t)

    def _unit(self, path: GaussianPath, t: Real) -> Real:
        match self.base:
            case "t":
                return 1.0 - t if self.falls else t
            case "sigma":
                return path.sigma(t) if self.falls else path.sigma(0.0) - path.sigma(t)
            case "log_snr":
                return -path.log_snr(t) if self.falls else path.log_snr(t)
            case "half_log_snr":
                return -path.half_log_snr(t) if self.falls else path.half_log_snr(t)
        if not isinstance(path, Table):
            raise TypeError(f"Only a Table has the clock 'index', but the path is {path}; choose another clock.")
        return path.index(t) if self.falls else path.steps - 1.0 - path.index(t)

    def __str__(self) -> str:
        names = {
            "t": ("t", "(1 - t)"),
            "sigma": ("(sigma(0) - sigma)", "sigma"),
            "log_snr": ("log_snr", "(-log_snr)"),
            "half_log_snr": ("half_log_snr", "(-half_log_snr)"),
            "index": ("(T - 1 - index)", "index"),
        }
        name = names[self.base][self.falls]
        return name.strip("()") if self.scale == 1.0 else f"{self.scale:g} {name}"

    @property
    def argument(self) -> str:
        """The Python for `time=` of a `Denoiser`, with the path in the variable `path`."""
        known = {
            "t": ("t", "1-t"),
            "sigma": ("", "sigma"),
            "log_snr": ("log_snr", ""),
            "half_log_snr": ("half_log_snr", ""),
            "index": ("", "index"),
        }
        if self.scale == 1.0 and known[self.base][self.falls]:
            return f'"{known[self.base][self.falls]}"'
        return f"lambda t: {self.formula}"

    def text(self, path: GaussianPath) -> str:
        """The clock as the `fokker` command reads it, such as "1-t", "1000*(1-t)" or "-0.25*half_log_snr"."""
        falling, rising = {
            "t": ("1-t", "t"),
            "sigma": ("sigma", f"{path.sigma(0.0):.17g}-sigma"),
            "log_snr": ("-log_snr", "log_snr"),
            "half_log_snr": ("-half_log_snr", "half_log_snr"),
            "index": ("index", f"{path.steps - 1}-index" if isinstance(path, Table) else ""),
        }[self.base]
        unit = falling if self.falls else rising
        if self.scale == 1.0:
            return unit
        if unit.startswith("-"):
            return f"-{self.scale:.17g}*{unit[1:]}"
        return f"{self.scale:.17g}*({unit})" if "-" in unit else f"{self.scale:.17g}*{unit}"

    @property
    def formula(self) -> str:
        formulas = {
            "t": ("t", "(1 - t)"),
            "sigma": ("(path.sigma(0.0) - path.sigma(t))", "path.sigma(t)"),
            "log_snr": ("path.log_snr(t)", "-path.log_snr(t)"),
            "half_log_snr": ("path.half_log_snr(t)", "-path.half_log_snr(t)"),
            "index": ("(path.steps - 1 - path.index(t))", "path.index(t)"),
        }
        formula = formulas[self.base][self.falls]
        return formula if self.scale == 1.0 else f"{self.scale:g} * {formula}"
