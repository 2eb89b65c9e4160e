"""Worker processes: one thread each, for torch's own threads slow each other down on work of this size.

They are spawned, not forked: a forked process inherits torch's locks in whatever state they were in.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TypeVar

import torch

__all__ = ["finished", "workers"]

Job = TypeVar("Job")
Result = TypeVar("Result")

MOST = 8
"""Each worker holds its own torch, about 300 MB."""


@contextmanager
def workers() -> Iterator[ProcessPoolExecutor]:
    """A worker for each processor. An error or Ctrl-C in the block ends the workers, even amid a job."""
    count = min(MOST, os.cpu_count() or 1)
    pool = ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn"), initializer=_start)
    try:
        yield pool
    except BrokenProcessPool as error:
        raise ChildProcessError("A worker was killed, perhaps for want of memory; start again.") from error
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    pool.shutdown()


def finished(pool: Executor, work: Callable[[Job], Result], jobs: list[Job]) -> Iterator[tuple[Job, Result]]:
    """Run work(job) in the pool for every job, and yield each job with its result as soon as it is finished.

    Args:
        pool: the workers.
        work: a function of a job; it travels to the worker processes with the job.
        jobs: the jobs. The generator empties the list, and also runs the jobs that the caller appends meanwhile.

    Raises:
        Exception: as `work` raises.
    """
    running: dict[Future[Result], Job] = {}
    done: SimpleQueue[Future[Result]] = SimpleQueue()
    while jobs or running:
        while jobs:
            job = jobs.pop(0)
            future = pool.submit(work, job)
            running[future] = job
            future.add_done_callback(done.put)
        future = done.get()
        yield running.pop(future), future.result()


def _start() -> None:
    """The parent answers Ctrl-C. A worker whose parent was killed ends itself, because nobody else would end it."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
