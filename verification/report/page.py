"""The report as one HTML page, which loads nothing from anywhere else, so that it can be sent and kept as a file.

The certificates of a method share a log-log plot, an SVG that takes its colours from the page, light or dark.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Sequence
from importlib.metadata import version
from inspect import cleandoc
from pathlib import Path

import matplotlib
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ...solvers.common import write_whole
from ..certificates import Certificate
from ..claims import Outcome
from ..networks import IDENTITIES
from .report import STYLES, Report, check_report
from .wording import cited, decisive, expectation, number, printed_form

__all__ = ["formula", "page", "plot", "write_html"]

INK, FAINT = "#010203", "#010204"
LINES = tuple(f"#0103{k:02x}" for k in range(6))
"""Colours that stand for those of the page; no picture has them otherwise."""


def write_html(report: Report, file: Path) -> None:
    """Write the page, whole or not at all."""
    check_report(report, file)
    write_whole(file, page(report).encode())


def page(report: Report) -> str:
    """The whole page."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=number, expectation=expectation, formula=formula, words=lambda name: name.replace("_", " ")
    )
    methods: dict[str, list[Certificate]] = {}
    for certificate in report.certificates:
        methods.setdefault(certificate.method, []).append(certificate)
    return environment.get_template("report.html.jinja").render(
        report=report,
        chapters=list(dict.fromkeys(outcome.claim.chapter for outcome in report.outcomes)),
        claims=[outcome for outcome in report.outcomes if not outcome.claim.erratum],
        errata=[outcome for outcome in report.outcomes if outcome.claim.erratum],
        methods=[(name, plot(name, group), group) for name, group in methods.items()],
        verdicts=[verdict for verdict in STYLES if verdict in report.verdicts],
        worst=lambda group: min((each.verdict for each in group), key=list(STYLES).index),
        version=version("fokker"),
        decisive=decisive,
        sources=cited(report.outcomes),
        identities=IDENTITIES,
        printed_form=printed_form,
        derivation=_derivation,
        checks=lambda outcome: list(zip(outcome.checks, outcome.passed, strict=True)),
    )


def formula(text: str) -> str:
    """A formula as HTML: what follows _ and ^ is set low and high, as in x_t, e^(−λ), σ_{data}."""
    text = html.escape(text)
    for mark, tag in (("_", "sub"), (r"\^", "sup")):
        text = re.sub(mark + r"(?:\{([^{}]*)\}|\(([^()]*)\)|([0-9A-Za-zΑ-ω½]+))", rf"<{tag}>\1\2\3</{tag}>", text)
    return text


def _derivation(outcome: Outcome) -> str:
    """Where the tolerance comes from: the docstring of the function that measures."""
    return cleandoc(getattr(outcome.claim.function, "__doc__", None) or "")


def plot(name: str, certificates: Sequence[Certificate]) -> str:
    """Errors against steps, one line for each problem, as SVG; an empty string if there are no errors to plot.

    Points are filled where the order is read off; a dotted line has the declared order.
    """
    if not any(certificate.errors for certificate in certificates):
        return ""
    # Text stays text; ids are the same in every run, and others in every plot.
    with matplotlib.rc_context({"svg.fonttype": "none", "font.size": 8, "svg.hashsalt": name}):
        figure = Figure(figsize=(4.4, 2.9))
        axes = figure.add_axes((0.13, 0.13, 0.85, 0.85))
        for colour, certificate in zip(LINES * len(certificates), certificates, strict=False):
            _draw(axes, certificate, colour)
        _frame(axes, certificates)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', r'<svg \1 role="img">', svg, count=1)
    svg = re.sub(r' id="[\w.]*_\d+"', "", svg)  # of groups: nothing refers to them, and every plot has the same
    for colour, meaning in {INK: "var(--ink)", FAINT: "var(--line)"}.items():
        svg = svg.replace(colour, meaning)
    for k, colour in enumerate(LINES):
        svg = svg.replace(colour, f"var(--line-{k})")
    return svg


def _draw(axes: Axes, certificate: Certificate, colour: str) -> None:
    steps, errors = certificate.steps, [error if error > 0.0 else float("nan") for error in certificate.errors]
    axes.plot(steps, errors, color=colour, lw=1.2, zorder=3)
    axes.plot(steps, errors, ls="", marker="o", ms=4, mfc="none", mec=colour, zorder=3)
    if certificate.asymptotic is None:
        return
    first, last = certificate.asymptotic
    inside = [(n, error) for n, error in zip(steps, errors, strict=True) if first <= n <= last]
    axes.plot(*zip(*inside, strict=True), ls="", marker="o", ms=4, mfc=colour, mec=colour, zorder=4)
    if certificate.declared is not None:
        n, error = inside[-1]
        ends = [min(steps), max(steps)]
        axes.plot(ends, [error * (n / end) ** certificate.declared for end in ends], color=colour, lw=0.8, ls=":")


def _frame(axes: Axes, certificates: Sequence[Certificate]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    errors = [error for certificate in certificates for error in certificate.errors if 0.0 < error < float("inf")]
    if errors:
        axes.set_ylim(0.3 * min(errors), 3.0 * max(errors))
    axes.yaxis.set_major_locator(LogLocator(numticks=8))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.minorticks_off()
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    axes.grid(color=FAINT, lw=0.6)
    axes.tick_params(length=0, colors=INK)
    axes.set_xlabel("steps", color=INK, labelpad=1)
    axes.set_frame_on(False)
