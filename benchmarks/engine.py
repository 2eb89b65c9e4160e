"""Worker processes: one thread each, for torch's own threads slow each other down on work of this size.

They are spawned, not forked: a forked process inherits torch's locks in whatever state they were in.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

import torch

__all__ = ["workers"]

MOST = 8
"""Each worker holds its own torch, about 300 MB."""


@contextmanager
def workers() -> Iterator[ProcessPoolExecutor]:
    """A worker for each processor; left by an error or by Ctrl-C, the block ends them even amid a job."""
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


def _start() -> None:
    """Ctrl-C is the parent's to answer; a worker whose parent was killed ends itself: nobody else would."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
