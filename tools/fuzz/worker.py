"""Makes calls in processes of their own: one that hangs is ended, and one that fills the memory ends itself."""

from __future__ import annotations

import contextlib
import os
import resource
import tempfile
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from multiprocessing.connection import Connection
from queue import Empty, SimpleQueue
from typing import NamedTuple

from .outcome import Outcome
from .targets import Call, targets

__all__ = ["PATIENCE", "Made", "make"]

PATIENCE = 20.0
"""Seconds after which a call hangs."""
MEMORY = 8 * 2**30
"""Bytes of addresses that a call may take."""


class Made(NamedTuple):
    """A call that was made: the target's name, the wrong values in words, and how it ended."""

    target: str
    told: str
    outcome: Outcome


def serve(pipe: Connection) -> None:
    """Make the calls that arrive, until the pipe closes. Nothing that they print is shown."""
    import torch

    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("ignore")
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    os.chdir(tempfile.mkdtemp(prefix="fokker-fuzz-"))
    by_name = {target.name: target for target in targets()}
    pipe.send(None)
    with contextlib.suppress(EOFError):
        while True:
            call = pipe.recv()
            pipe.send(by_name[call.target].run(call.changes))


class _Worker:
    """A process that serves, and is replaced when it hangs or dies."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs,))  # no daemon: commands have processes of their own
        self.process.start()
        theirs.close()
        self.pipe.recv()

    def run(self, call: Call) -> tuple[str, Outcome]:
        self.pipe.send(call)
        try:
            if self.pipe.poll(PATIENCE):
                found: tuple[str, Outcome] = self.pipe.recv()
                return found
            ended = Outcome("hang", f"over {PATIENCE:g} s")
        except (EOFError, ConnectionError):
            ended = Outcome("hang", "the process died")
        self.close()
        self._start()
        return str(call.changes), ended

    def close(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def make(calls: Sequence[Call], processes: int, told: Callable[[int], None]) -> list[Made]:
    """Make the calls in so many processes, in their order; `told` hears how many are made."""
    waiting: SimpleQueue[int] = SimpleQueue()
    for i in range(len(calls)):
        waiting.put(i)
    made: list[Made | None] = [None] * len(calls)

    def work() -> None:
        worker = _Worker()
        with contextlib.closing(worker):
            while True:
                try:
                    i = waiting.get_nowait()
                except Empty:
                    return
                words, outcome = worker.run(calls[i])
                made[i] = Made(calls[i].target, words, outcome)
                told(len(calls) - waiting.qsize())

    with ThreadPoolExecutor(processes) as pool:
        for future in [pool.submit(work) for _ in range(processes)]:
            future.result()
    return [call for call in made if call is not None]
