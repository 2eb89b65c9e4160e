"""What an object is made of, as plain values: two objects with the same contents compute the same.

Tensors count by their bytes, and code by its text. A function also counts what it refers to: its closure, its defaults,
and the globals that it reads. Devices, and values that a class computes when they are first asked for, do not count.
Of code that is installed, the name and the version of its package count. Of classes of torch, numpy, Python and this
package the name counts alone, and so do their public attributes: those with an underscore follow from them.
"""

from __future__ import annotations

import dataclasses
import dis
import hashlib
import inspect
import json
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from functools import cached_property, partial
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .denoiser import Denoiser

__all__ = ["Contents", "digest_of"]

LIBRARIES = {"torch", "numpy", "scipy", __name__.partition(".")[0], *sys.stdlib_module_names}
INSTALLED = ("site-packages", "dist-packages")
NOTES = {"_name_or_path", "_diffusers_version", "_use_default_values", "_commit_hash"}
"""What diffusers notes in a configuration about the file that it was read from."""
LAYER = frozenset(vars(nn.Module())) - {"training"} | {"_is_torch_compile"}
"""The attributes of layers that every one has, or that torch.compile adds."""
NAMED = (FunctionType, type)
FOLLOWED = (*NAMED, Tensor, np.ndarray, nn.Module, Denoiser, partial, bool, int, float, str, list, tuple, dict)
"""The globals of a function that count."""


def digest_of(value: Any) -> str:
    """16 hex digits of the sha256 of a value in JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


class Contents:
    """Called with an object, it returns what the object is made of, and collects tensors, code and networks.

    Attributes:
        tensors: the digests of all tensors.
        devices: those of all tensors.
        code: the texts of all code.
        networks: those of the denoisers, which are not looked into.
        modules: the names of those whose code counts and that are not installed.
    """

    def __init__(self) -> None:
        self.tensors: list[str] = []
        self.devices: set[torch.device] = set()
        self.code: list[str] = []
        self.networks: list[Any] = []
        self.modules: set[str] = set()
        self._known: dict[int, tuple[int, Any]] = {}

    def __call__(self, value: Any) -> Any:
        match value:
            case None | bool() | int() | str():
                return value
            case float() | complex() | Enum() | Path() | torch.dtype():
                return repr(value)
            case bytes():
                return hashlib.sha256(value).hexdigest()
            case torch.device():
                return "device"
            case Tensor():
                self.devices.add(value.device)
                flat = value.detach().to_dense().cpu().contiguous().flatten()
                return self._numbers(f"{value.dtype}", value.shape, flat.view(torch.uint8).numpy())
            case np.ndarray() | np.generic():
                return self._numbers(f"{value.dtype}", value.shape, np.asarray(value).tobytes())
            case Mapping():
                pairs = sorted(((str(key), key) for key in value if key not in NOTES), key=lambda pair: pair[0])
                return {text: self(value[key]) for text, key in pairs}
            case list() | tuple():
                return [self(each) for each in value]
            case set() | frozenset():
                return sorted(json.dumps(self(each)) for each in value)
        number = len(self._known)
        known, _ = self._known.setdefault(id(value), (number, value))
        return self._object(value) if known == number else f"again {known}"

    def _object(self, value: Any) -> Any:
        match value:
            case nn.Module():
                return self._module(value)
            case type():
                return self._class(value)
            case FunctionType() if _library(value):
                return f"{value.__module__}.{value.__qualname__}"
            case FunctionType():
                if _installed(value.__module__):
                    self.code.append(_released(value))
                else:
                    self.code.append(_text(value.__code__))
                    self.modules.add(value.__module__)
                return {"function": value.__qualname__, **self._held(value)}
            case MethodType():
                return {"method": value.__name__, "of": self(value.__self__)}
            case partial():
                return {"partial": self(value.func), "arguments": self([value.args, value.keywords])}
        if dataclasses.is_dataclass(value):
            fields = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
        else:
            fields = _attributes(value)
        if isinstance(value, Denoiser):
            self.networks.append(fields.pop("net"))
        named = getattr(value, "__qualname__", None)  # a function in C
        return {"class": self(type(value)), "named": named, **{name: self(each) for name, each in fields.items()}}

    def _numbers(self, dtype: str, shape: Sequence[int], content: Any) -> Any:
        self.tensors.append(hashlib.sha256(content).hexdigest())
        return [dtype, *shape]

    def _module(self, module: nn.Module) -> Any:
        inside = getattr(module, "_orig_mod", module)  # of torch.compile
        layers = {}
        for name, layer in inside.named_modules():
            settings = {key: each for key, each in _attributes(layer).items() if key not in LAYER}
            layers[name] = {"class": self(type(layer)), **{key: self(each) for key, each in settings.items()}}
        return {"layers": layers, "weights": {name: self(each) for name, each in inside.state_dict().items()}}

    def _class(self, kind: type) -> Any:
        name = f"{kind.__module__}.{kind.__qualname__}" if _library(kind) else kind.__qualname__
        held: dict[str, Any] = {}
        for base in kind.__mro__:
            if _library(base):
                continue
            if _installed(base.__module__):
                self.code.append(_released(base))
                continue
            functions = dict(_functions(base))
            try:
                self.code.append(textwrap.dedent(inspect.getsource(base)).strip())
            except (OSError, TypeError):  # typed into a console, or sent by value
                self.code.extend(_text(each.__code__) for each in functions.values())
            self.modules.add(base.__module__)
            held |= {f"{base.__qualname__}.{key}": self._held(each) for key, each in functions.items()}
        return {"class": name, **{key: each for key, each in held.items() if each}}

    def _held(self, function: FunctionType) -> dict[str, Any]:
        """What a function refers to."""
        held: dict[str, Any] = {}
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                inside = cell.cell_contents
            except ValueError:  # not yet filled
                continue
            if not (name == "__class__" and isinstance(inside, type)):
                held[name] = self(inside)
        if function.__defaults__ or function.__kwdefaults__:
            held["defaults"] = self([function.__defaults__, function.__kwdefaults__])
        if _installed(function.__module__):
            return held
        for name in sorted(set(_globals(function.__code__)) & function.__globals__.keys()):
            value = function.__globals__[name]
            if isinstance(value, ModuleType) and not _installed(value.__name__):
                self.modules.add(value.__name__)
                with suppress(OSError, TypeError):
                    self.code.append(inspect.getsource(value))
            elif isinstance(value, NAMED) and _installed(value.__module__):
                held[name] = f"{value.__module__}.{name}"
            elif isinstance(value, FOLLOWED):
                held[name] = self(value)
        return held


def _attributes(value: Any) -> dict[str, Any]:
    """The attributes of an object that count."""
    kind = type(value)
    slots = [name for base in kind.__mro__ for name in getattr(base, "__slots__", ()) if hasattr(value, name)]
    named = {name: getattr(value, name) for name in slots if not name.startswith("__")} | getattr(value, "__dict__", {})
    lazy = {name for base in kind.__mro__ for name, each in vars(base).items() if isinstance(each, cached_property)}
    private = _library(kind)
    return {
        name: each for name, each in sorted(named.items()) if name not in lazy and not (private and name[:1] == "_")
    }


def _library(named: type | FunctionType) -> bool:
    return (named.__module__ or "builtins").partition(".")[0] in LIBRARIES


def _installed(module: str | None) -> bool:
    """Whether a module belongs to an installed package, which changes with its version alone."""
    module = module or "builtins"
    if module == "__main__":  # what was typed, or is run
        return False
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    return module.partition(".")[0] in LIBRARIES or any(part in INSTALLED for part in Path(file).parts)


def _released(named: type | FunctionType) -> str:
    """A name of an installed package, with the version of the package."""
    version = getattr(sys.modules.get(named.__module__.partition(".")[0]), "__version__", "")
    return f"{named.__module__}.{named.__qualname__} {version}"


def _functions(kind: type) -> Iterator[tuple[str, FunctionType]]:
    """The functions in the body of a class."""
    for name, value in vars(kind).items():
        inside = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if isinstance(inside, FunctionType):
            yield name, inside


def _globals(code: CodeType) -> Iterator[str]:
    """The names of the globals that code reads, also in the functions that it makes."""
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield step.argval
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _globals(each)


def _text(code: CodeType) -> str:
    """The source of code, or what it was compiled to where there is no source."""
    try:
        return textwrap.dedent(inspect.getsource(code)).strip()
    except (OSError, TypeError):
        inner = [_text(each) if isinstance(each, CodeType) else repr(each) for each in code.co_consts]
        return f"{code.co_code.hex()} {code.co_names} {inner}"
