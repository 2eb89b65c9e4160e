"""A denoiser, or a bare network, by its name."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ...generative import Denoiser, FlowMap
from ...generative.training import load, shipped
from ...solvers.common import check_instance, is_file, shown
from ..import_named import import_named
from .clock import read_clock
from .folder import saved_by_diffusers
from .path import read_path

__all__ = [
    "declared_classes", "declared_shape", "is_folder", "is_imported", "named_denoiser", "named_model", "named_network",
]


def named_denoiser(
    network: str, *, predicts: str | None = None, path: str | None = None, time: str | None = None
) -> Denoiser:
    """The denoiser of this name. Its arguments and errors are those of `named_model`.

    Raises:
        ValueError: it is a flow map.
    """
    found = named_model(network, predicts=predicts, path=path, time=time)
    if isinstance(found, FlowMap):
        raise ValueError(
            f"{network} is a flow map, which jumps and gives no field at a time; fokker sample draws from it, and "
            "certify_flow_map measures it."
        )
    return found


def named_model(
    network: str, *, predicts: str | None = None, path: str | None = None, time: str | None = None
) -> Denoiser | FlowMap:
    """The denoiser, or the flow map, of this name, in evaluation mode and without gradients.

    Args:
        network: the name (see the room's face).
        predicts: the kind of prediction of a network that does not say it: "x0", "eps", "v", "velocity", "score".
        path: its path, as "VP()".
        time: its clock, as "1-t" or "1000*t"; None for "t".

    Raises:
        TypeError: a name of another kind.
        ValueError: there is no network of this name, it is none, or what is stated is missing, unknown, or known
            already.
        FileNotFoundError: a name without ":" stands for nothing.
        ImportError: a module raises an error, or a library is missing.
    """
    check_instance("network", network, str, "the name of a network")
    stated = {"predicts": predicts, "path": path, "time": time}
    given = [name for name, value in stated.items() if value is not None]
    if not is_imported(network):
        if is_folder(network):
            _check_unstated(network, "its scheduler says", given)
            return saved_by_diffusers(Path(network))
        return _loaded(network, predicts, path, time)
    found = _imported(network)
    if isinstance(found, Denoiser | FlowMap):
        _check_unstated(network, f"it is a {type(found).__name__}, which says", given)
        _without_gradients(found.net)
        return found
    if predicts is None or path is None:
        raise ValueError(
            f"{network} is a network, which does not say what it predicts on which path; give a Denoiser of it, or, "
            f"where the command takes them, --predicts, --path and --time (fokker probe {network} finds them)."
        )
    on = read_path(path)
    return Denoiser(
        _without_gradients(found), on, predicts=predicts, time="t" if time is None else read_clock(time, on)
    )


def named_network(network: str) -> Callable[..., Tensor]:
    """The bare network of this name. Raises as `named_model`."""
    check_instance("network", network, str, "the name of a network")
    found = _imported(network) if is_imported(network) else named_model(network)
    net: Callable[..., Tensor] = found.net if isinstance(found, Denoiser | FlowMap) else found
    return _without_gradients(net)  # type: ignore[no-any-return]


def is_imported(network: str) -> bool:
    """Whether a name is that of an object in a module, package.module:name."""
    return ":" in network and not os.path.exists(network)


def is_folder(network: str) -> bool:
    """Whether a name is that of a folder."""
    return os.path.isdir(network)


def declared_shape(denoiser: Denoiser | FlowMap) -> tuple[int, ...] | None:
    """The shape of a sample, if the network declares it as its `shape`."""
    shape = getattr(denoiser.net, "shape", None)
    fits = isinstance(shape, tuple) and len(shape) > 0 and all(isinstance(size, int) and size > 0 for size in shape)
    return shape if fits else None


def declared_classes(denoiser: Denoiser | FlowMap) -> int:
    """The number of labels that the network declares, without the one that stands for none; 0 if it declares none."""
    classes, null = (getattr(denoiser.net, name, None) for name in ("classes", "null_label"))
    return classes if isinstance(classes, int) else null if isinstance(null, int) else 0


def _loaded(network: str, predicts: str | None, path: str | None, time: str | None) -> Denoiser | FlowMap:
    """The network of a checkpoint, which says what it predicts; what is stated is compared."""
    names = shipped()
    if network not in names and not is_file(Path(network)):
        near = " or ".join(get_close_matches(network, names, 2))
        raise FileNotFoundError(
            f"There is no network {shown(network)}{near and f' ({near}?)'}; give a file, package.module:name, a folder "
            f"that diffusers saved, or one of {', '.join(names)}."
        )
    on = None if path is None else read_path(path)
    clock = time if time is None or on is None else read_clock(time, on)
    return load(network, path=on, predicts=predicts, time=clock)


def _check_unstated(network: str, who: str, given: list[str]) -> None:
    if given:
        raise ValueError(f"{network}: {who} what it predicts on which path; leave out --{' and --'.join(given)}.")


def _imported(name: str) -> Any:
    """The network, the denoiser or the flow map of a module.

    A class, or a function that needs no arguments, is called to make it.
    """
    found = import_named(name)
    if inspect.isclass(found) or (inspect.isfunction(found) and _needs_nothing(found)):
        try:
            found = found()
        except Exception as error:
            raise ValueError(f"{name}() raises {type(error).__name__}: {error}") from error
    if not callable(found) and not isinstance(found, Denoiser | FlowMap):
        raise ValueError(f"{name} is of type {type(found).__name__}; give a Denoiser, or a network, net(x, time).")
    return found


def _needs_nothing(function: Callable[..., Any]) -> bool:
    return all(
        each.default is not each.empty or each.kind is each.VAR_KEYWORD
        for each in inspect.signature(function).parameters.values()
    )


def _without_gradients(net: Any) -> Any:
    return net.eval().requires_grad_(False) if isinstance(net, nn.Module) else net
