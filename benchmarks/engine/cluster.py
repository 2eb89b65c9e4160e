"""A Ray cluster.

A task is a task of Ray, and a shared value lies in its object store. Ray does not run lost tasks again by itself: the
run does, and counts, as it does on one machine. The caller alone sees results.
"""

from __future__ import annotations

import os
import socket
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import cloudpickle
import torch

from ...solvers.common import check_instance, real
from .base import Shared
from .task import performed
from .workers import Workers

__all__ = ["ray"]

Value = TypeVar("Value")

SILENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # every line: it would tell of killed workers on stdout
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # or it warns that this will be the default
}
"""Ray reads these when it is imported."""
LOST = ("WorkerCrashedError", "OutOfMemoryError", "NodeDiedError", "LocalRayletDiedError", "ObjectLostError")
"""Errors of Ray by which a task has ended through no fault of its own."""
PATIENCE = 5.0
"""Seconds in which an address must answer."""
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""How a client of HTTP/2 begins, the protocol under Ray's: its preface and empty settings (RFC 9113, 3.4 and 6.5)."""
SETTINGS = 4
"""The kind of the frame that a server answers with."""


def ray(address: str | None = None, gpus: float = 0.0) -> Ray:
    """An engine on a Ray cluster: a job takes a processor, on whichever machine has one.

    Args:
        address: of the cluster: "HOST:6379" on a machine that belongs to it, "ray://HOST:10001" from outside, or
            "auto" for the cluster that runs here. None takes the connection that the process has, or the one that
            RAY_ADDRESS names, or else starts a Ray on this machine for as long as the engine lives.
        gpus: the GPUs of a job, also a fraction, such as 0.25 for four jobs on each.

    Raises:
        TypeError: arguments of another kind.
        ValueError: the address is no address, a connection to Ray is there already, or no machine has such GPUs.
        ImportError: Ray is not installed.
        OSError: nobody answers at the address, or a Ray of another version.

    Example:
        >>> with ray() as engine:  # doctest: +SKIP
        ...     dict(engine.run(lambda n: n * n, [2, 3]))
        {2: 4, 3: 9}
    """
    if address is not None:
        check_instance("address", address, str, 'the address of a cluster, such as "10.0.0.1:6379"')
    gpus = real("gpus", gpus, 0.0, 1024.0)
    return Ray(address, gpus)


@dataclass(frozen=True)
class Stored(Shared[Value]):
    """A value in the object store. The process that shares it has the value itself."""

    key: str
    value: Value = field(repr=False)

    def get(self) -> Value:
        return self.value

    def __reduce__(self) -> tuple[Any, ...]:
        return InStore, (self.key,)


@dataclass(frozen=True)
class InStore(Shared[Any]):
    """A value in the object store, as a worker sees it."""

    key: str

    def get(self) -> Any:
        return _loaded(self.key)


_REFERENCES: dict[str, Any] = {}
"""Where the values lie, in a worker: it knows those that came with its tasks."""


@cache
def _loaded(key: str) -> Any:
    return cloudpickle.loads(_library().get(_REFERENCES[key]))


class Ray(Workers):
    """A connection to Ray."""

    def __init__(self, address: str | None, gpus: float) -> None:
        self._gpus = gpus
        self._references: dict[str, Any] = {}
        self._ray = _library()
        self._ours = not self._ray.is_initialized()
        if self._ours:
            _connect(self._ray, address)
        elif address is not None:
            raise ValueError(f"This process is connected to a Ray cluster already; leave out the address {address!r}.")
        try:
            if not self._room():
                raise ValueError(f"The cluster has {self._resources()}; a job takes a processor and {gpus:g} GPUs.")
            options = {"num_cpus": 1, "num_gpus": gpus, "max_retries": 0}
            self._perform = self._ray.remote(**options)(_perform)
        except BaseException:
            self.close()
            raise

    @property
    def slots(self) -> int:
        return max(1, self._room())  # the machines may come back

    def _room(self) -> int:
        """The number of jobs for which the cluster has processors and GPUs."""
        there = self._ray.cluster_resources()
        room = int(there.get("CPU", 0.0))
        return min(room, int(there.get("GPU", 0.0) / self._gpus)) if self._gpus else room

    def _resources(self) -> str:
        there = self._ray.cluster_resources()
        return f"{there.get('CPU', 0.0):g} processors and {there.get('GPU', 0.0):g} GPUs"

    def share(self, value: Value) -> Stored[Value]:
        reference = self._ray.put(cloudpickle.dumps(value))
        self._references[reference.hex()] = reference
        return Stored(reference.hex(), value)

    def _submit(self, work: Shared[Any], jobs: Sequence[Any]) -> Any:
        return self._perform.remote(self._references, cloudpickle.dumps((work, jobs)))

    def _ended(self, tasks: Sequence[Any]) -> Sequence[Any]:
        ended: Sequence[Any] = self._ray.wait(tasks, num_returns=1)[0]
        return ended

    def _answer(self, task: Any) -> bytes | None:
        errors = self._ray.exceptions
        lost = tuple(getattr(errors, name) for name in LOST)
        try:
            answer: bytes = self._ray.get(task)
        except lost:
            return None
        except errors.RayError as error:
            reason = str(error).strip().splitlines()[-1]
            raise ChildProcessError(
                f"A worker of the cluster cannot begin ({reason}); see that its machines have this Fokker."
            ) from error
        return answer

    def _cancel(self, tasks: Sequence[Any]) -> None:
        for task in tasks:
            self._ray.cancel(task, force=True)

    def close(self) -> None:
        if self._ours:
            self._ray.shutdown()


def _perform(references: dict[str, Any], message: bytes) -> bytes:
    """A task, in a worker. What it needs travels as bytes, so that Ray has nothing to understand."""
    torch.set_num_threads(1)
    _REFERENCES.update(references)
    return performed(lambda: cloudpickle.loads(message))


def _library() -> Any:
    for name, value in SILENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray as library
    except ImportError:
        raise ImportError('The engine "ray" needs Ray; install it: pip install "fokker[cluster]"') from None
    return library


def _connect(library: Any, address: str | None) -> None:
    """Connect to a cluster, or start Ray here, without a word."""
    named = address or os.environ.get("RAY_ADDRESS", "local")
    if named not in ("auto", "local"):
        _check_answers(named)
    options: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False, "logging_level": "error"}
    if not named.startswith("ray://"):
        options["job_config"] = library.job_config.JobConfig(_py_driver_sys_path=_folders())
    try:
        library.init(address=address, **options)
    except Exception as error:
        library.shutdown()
        raise OSError(f"Ray at {named} cannot be used: {' '.join(str(error).split())}") from error


def _folders() -> list[str]:
    """Where the caller finds its own modules: the folders of sys.path that hold no installed packages."""
    installed = [Path(folder).resolve() for folder in sysconfig.get_paths().values()]
    folders = dict.fromkeys(Path(entry).resolve() for entry in sys.path)
    own = [folder for folder in folders if folder.is_dir()]
    return [str(folder) for folder in own if not any(folder.is_relative_to(other) for other in installed)]


def _check_answers(address: str) -> None:
    """Raise unless a server of the right protocol answers: Ray itself waits for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not (colon and host and port.isdecimal() and 0 < int(port) < 2**16):
        raise ValueError(f"address is {address!r}, but must be HOST:PORT, ray://HOST:PORT or auto.")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), PATIENCE) as connection:
            if os.environ.get("RAY_USE_TLS", "0") == "1":
                return
            connection.settimeout(PATIENCE)
            connection.sendall(GREETING)
            answer = connection.recv(9, socket.MSG_WAITALL)
    except OSError as error:
        reason = error.strerror or str(error)
        told = f"No Ray cluster answers at {address} ({reason}); see that it runs and can be reached."
        raise OSError(told) from error
    if len(answer) < 9 or answer[3] != SETTINGS:
        raise OSError(f"What answers at {address} is no Ray cluster; see which port the cluster has.")
