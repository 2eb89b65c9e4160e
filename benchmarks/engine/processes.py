"""The processors of this machine.

Workers are processes of loky, which do not import the caller's main module again, and know lambdas and classes of a
notebook. Each has one thread, for torch's own threads slow each other down on work of this size.

A worker may be killed while it writes. What is longer than a pipe takes at once therefore travels as a file, and is
announced when it is whole.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from multiprocessing import resource_tracker
from pathlib import Path
from tempfile import TemporaryDirectory, mkstemp
from typing import Any, TypeVar

import cloudpickle
import torch
from loky import ProcessPoolExecutor, cpu_count

from ...solvers.common import whole
from .base import Engine, Shared
from .here import Here
from .task import performed
from .workers import Workers

__all__ = ["local"]

Value = TypeVar("Value")

MOST = 8
"""Each worker holds its own torch, about 300 MB."""
AT_ONCE = 2048
"""Bytes that a pipe takes at once, with room for what is packed around them (POSIX: 512 at least, Linux: 4096)."""
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
KEEP = {"LOKY_MAX_MEMORY_LEAK_SIZE": "1e18"}
"""A worker that has loaded a network is no leak, and is kept."""
WATCH = 0.2
"""Seconds between two looks at whether the caller lives."""


def local(workers: int | None = None) -> Engine:
    """An engine on the processors of this machine.

    Args:
        workers: the number of processes, each with one thread; one for each processor if None, but at most 8. With 1
            jobs run in the calling process: for networks on a GPU, for debuggers and for little work.

    Raises:
        TypeError, ValueError: it is no whole number from 1.

    Example:
        >>> with local(workers=2) as engine:
        ...     engine.slots
        2
    """
    workers = min(MOST, cpu_count()) if workers is None else whole("workers", workers, 1, 1024)
    return Here() if workers == 1 else Processes(workers)


@dataclass(frozen=True)
class Kept(Shared[Value]):
    """A value in a file. The process that shares it has the value itself."""

    file: str
    value: Value = field(repr=False)

    def get(self) -> Value:
        return self.value

    def __reduce__(self) -> tuple[Any, ...]:
        return InFile, (self.file,)


@dataclass(frozen=True)
class InFile(Shared[Any]):
    """A value in a file, as a worker sees it."""

    file: str

    def get(self) -> Any:
        return _loaded(self.file)


@cache
def _loaded(file: str) -> Any:
    return cloudpickle.loads(Path(file).read_bytes())


class Processes(Workers):
    """Worker processes, which begin with the first job."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._temporary: TemporaryDirectory[str] | None = None
        self._pool: ProcessPoolExecutor | None = None
        self._names = count()

    @property
    def slots(self) -> int:
        return self._workers

    @property
    def _folder(self) -> str:
        """Where values and long messages lie."""
        if self._temporary is None:
            self._temporary = TemporaryDirectory(prefix="fokker-", ignore_cleanup_errors=True)
        return self._temporary.name

    def share(self, value: Value) -> Kept[Value]:
        file = Path(self._folder) / f"shared-{next(self._names)}"
        file.write_bytes(cloudpickle.dumps(value))
        return Kept(str(file), value)

    def _submit(self, work: Shared[Any], jobs: Sequence[Any]) -> Future[bytes | str]:
        message = _packed(cloudpickle.dumps((work, jobs)), self._folder)
        try:
            return self._sent(message)
        except BrokenProcessPool:  # a worker was killed
            self._stop()
            return self._sent(message)

    def _sent(self, message: bytes | str) -> Future[bytes | str]:
        pool = self._running()
        with _interrupts_later():  # the first submission starts the workers
            task: Future[bytes | str] = pool.submit(_perform, message, self._folder)
        return task

    def _running(self) -> ProcessPoolExecutor:
        if self._pool is None:
            resource_tracker.ensure_running()  # its start would unblock signals
            watch = (os.getpid(), self._folder)
            self._pool = ProcessPoolExecutor(self._workers, env=THREADS | KEEP, initializer=_start, initargs=watch)
        return self._pool

    def _ended(self, tasks: Sequence[Future[bytes | str]]) -> list[Future[bytes | str]]:
        return list(wait(tasks, return_when=FIRST_COMPLETED).done)

    def _answer(self, task: Future[bytes | str]) -> bytes | None:
        try:
            return _unpacked(task.result())
        except BrokenProcessPool:
            return None

    def _cancel(self, tasks: Sequence[Future[bytes | str]]) -> None:
        if tasks:
            self._stop()

    def _stop(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(kill_workers=True)
            self._pool = None

    def close(self) -> None:
        self._stop()
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """Ctrl-C waits for the end of the block, and processes that are started in it never see it."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _packed(data: bytes, folder: str) -> bytes | str:
    """What goes through the pipe: the data, or the name of a file that holds them."""
    if len(data) <= AT_ONCE:
        return data
    number, name = mkstemp(dir=folder)
    with open(number, "wb") as file:
        file.write(data)
    return name


def _unpacked(message: bytes | str) -> bytes:
    if isinstance(message, bytes):
        return message
    data = Path(message).read_bytes()
    os.unlink(message)
    return data


def _perform(message: bytes | str, folder: str) -> bytes | str:
    """A task, in a worker."""
    return _packed(performed(lambda: cloudpickle.loads(_unpacked(message))), folder)


def _start(parent: int, folder: str) -> None:
    """The caller answers Ctrl-C. A worker whose caller was killed ends itself, because nobody else would end it."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent, folder), daemon=True).start()


def _end_with(parent: int, folder: str) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH)
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)
