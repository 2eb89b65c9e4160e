"""The problem of a network on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from torch import nn

from ...generative.training import shipped
from ...solvers.common import check_instance, shown, wholes
from ...verification.named_networks import declared_shape, is_folder, is_imported, named_denoiser
from .built_in import PROBLEMS, problem
from .condition_file import read_condition
from .of_denoiser import problem_of
from .problem import Problem

__all__ = ["find_problem"]


def find_problem(
    text: str,
    *,
    shape: str | Sequence[int] | None = None,
    label: int | None = None,
    condition: Path | str | None = None,
    guidance: float | None = None,
    predicts: str | None = None,
    path: str | None = None,
    time: str | None = None,
) -> Problem:
    """The problem of a name: a built-in one, or that of a network.

    Args:
        text: the name of a problem, of a shipped network, of a checkpoint, of a folder that diffusers saved, or
            package.module:name of a `Denoiser`, a network, or a function that makes one.
        shape: of one sample, as "3x32x32"; None for the one that the network declares.
        label: the class of all samples; None deals out the classes that the network declares in turn.
        condition: a file with further arguments of the network (see `read_condition`).
        guidance: the weight of classifier-free guidance.
        predicts: what a network that does not say it predicts: "x0", "eps", "v", "velocity" or "score".
        path: its path, as "VP()" or "Shifted(VP(), 0.3)".
        time: its clock, as "1-t" or "1000*t".

    Raises:
        TypeError: an argument of another kind.
        ValueError: there is no such name; what is needed is missing, or does not fit; or the network fails.
        FileNotFoundError: there is no such file.
        ImportError: a module raises an error, or a library is missing.
    """
    check_instance("network", text, str, "the name of a problem or of a network")
    stated = {"predicts": predicts, "path": path, "time": time}
    wanted = None if shape is None else read_shape(shape)
    if text in PROBLEMS:
        chosen = problem(text)
        given = [name for name, value in stated.items() if value is not None]
        if given or wanted not in (None, chosen.shape):
            fix = " and ".join(f"--{name}" for name in given or ["shape"])
            raise ValueError(f"The problem {text!r} knows its network, and its shape {chosen.shape}; leave out {fix}.")
        if (label, condition, guidance) == (None, None, None):
            return chosen
        denoiser, wanted, samples = chosen.denoiser, chosen.shape, chosen.samples
    else:
        _check_name(text)
        denoiser, samples = named_denoiser(text, **stated), None
        if text in shipped() and isinstance(denoiser.net, nn.Module):
            denoiser.net.double()
    wanted = wanted or declared_shape(denoiser)
    if wanted is None:
        raise ValueError(f"{text} does not say the shape of a sample; give it, as --shape 3x32x32.")
    further, negative = (None, None) if condition is None else read_condition(Path(condition), denoiser)
    try:
        return problem_of(
            denoiser, wanted, _name(text), label, further, guidance, samples=samples, negative=negative
        )
    except TypeError as error:  # of a network that takes no label or condition
        raise ValueError(str(error)) from error


def read_shape(shape: str | Sequence[int]) -> tuple[int, ...]:
    """A shape as "3x32x32" or "3,32,32", or as numbers. Raises ValueError for anything else."""
    if not isinstance(shape, str):
        return wholes("shape", shape, 1)
    parts = shape.lower().replace("×", "x").replace(",", "x").strip("() ").split("x")
    if not all(part.strip().isdecimal() and part.strip().isascii() and int(part) > 0 for part in parts):
        raise ValueError(f"The shape is {shown(shape)}; write the shape of one sample, as 3x32x32.")
    return tuple(int(part) for part in parts)


def _check_name(text: str) -> None:
    """Raise ValueError for a name that stands for nothing, with those that are near."""
    known = [*dict.fromkeys([*PROBLEMS, *shipped()])]
    if text in known or is_imported(text) or is_folder(text) or Path(text).is_file():
        return
    near = " or ".join(get_close_matches(text, known, 2))
    raise ValueError(
        f"There is no problem or network {shown(text)}{near and f' ({near}?)'}; give a file, package.module:name, a "
        f"folder that diffusers saved, or one of {', '.join(known)}."
    )


def _name(text: str) -> str:
    """A name for reports: of a file or a folder the last part."""
    if is_folder(text):
        return Path(text).resolve().name
    return text if is_imported(text) or text in shipped() else Path(text).stem
