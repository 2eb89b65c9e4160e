"""Jobs on this machine: each comes back once, whoever is killed, and nobody stays behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from fokker.benchmarks.engine import Engine, local
from fokker.benchmarks.engine.task import SECONDS

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import it


@pytest.fixture(scope="module")
def two() -> Iterator[Engine]:
    with local(2) as engine:
        yield engine


@pytest.fixture(params=[1, 2])
def engine(request: pytest.FixtureRequest) -> Engine:
    """The calling process, then worker processes."""
    return local(1) if request.param == 1 else request.getfixturevalue("two")


class Loaded:
    """A value that tells when it is read from a file."""

    def __init__(self, told: Path) -> None:
        self.told = told

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = state
        with self.told.open("a") as file:
            file.write(f"{os.getpid()}\n")


class Unreadable(Exception):
    """Cannot be read again: it is written with one argument, and needs two."""

    def __init__(self, one: object, two: object) -> None:
        super().__init__(f"{one} and {two}")


def test_jobs_that_are_appended_meanwhile_are_run_too(engine: Engine) -> None:
    jobs = [3, 5]
    found = []
    for job, result in engine.run(lambda n: n * n, jobs):
        found.append((job, result))
        if job > 1:
            jobs.append(job - 2)
    assert sorted(found) == [(1, 1), (1, 1), (3, 9), (3, 9), (5, 25)]
    assert jobs == []


def test_no_jobs_no_results(engine: Engine) -> None:
    assert list(engine.run(repr, [])) == []


def test_an_error_in_a_job_reaches_the_caller_and_the_engine_goes_on(engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError):
        list(engine.run(lambda n: 1 // n, [1, 0, *range(1, 99)]))
    assert list(engine.run(abs, [-3])) == [(-3, 3)]


def test_results_before_an_error_are_given(two: Engine) -> None:
    run = two.run(lambda n: 1 // n, [1])
    assert next(run) == (1, 1)
    jobs = list(range(4, -1, -1))
    found = []
    with pytest.raises(ZeroDivisionError) as failure:
        found += [job for job, _ in two.run(lambda n: 1 // n, jobs)]
    assert "In a worker:" in failure.value.__notes__[0]


@pytest.mark.parametrize(
    ("work", "kind", "message"),
    [
        (lambda _: (x for x in "a"), TypeError, "cannot pickle 'generator' object"),
        (lambda _: (_ for _ in "a").throw(Unreadable(1, 2)), RuntimeError, "Unreadable: 1 and 2"),
        (lambda _: sys.exit("over"), SystemExit, "over"),
    ],
    ids=["a result that does not travel", "an error that does not travel", "an exit"],
)
def test_what_does_not_travel_is_an_error_of_its_job(
    work: Callable[[int], object], kind: type[BaseException], message: str, two: Engine
) -> None:
    with pytest.raises(kind, match=re.escape(message)):
        list(two.run(work, [1]))


def test_many_short_jobs_share_tasks_and_long_ones_do_not(two: Engine) -> None:
    """Of 10000 jobs of no time, single tasks of 0.3 ms would take 3 s; each process works in bundles of many."""
    start = time.perf_counter()
    found = dict(two.run(lambda n: 2 * n, list(range(10_000))))
    assert found == {n: 2 * n for n in range(10_000)}
    assert time.perf_counter() - start < 2.0
    times = [end for _, end in two.run(lambda n: (time.sleep(2 * SECONDS), time.monotonic())[1], list(range(6)))]
    assert max(times) - min(times) < 2 * SECONDS * 6  # both workers had some


def test_large_jobs_and_results_travel(engine: Engine) -> None:
    jobs = [bytes(10**6), bytes(3)]
    assert sorted(len(result) for _, result in engine.run(lambda data: data + data, jobs)) == [6, 2 * 10**6]


def test_a_shared_value_is_loaded_once_a_process(tmp_path: Path) -> None:
    with local(2) as engine:
        value = Loaded(tmp_path / "told")
        shared = engine.share(value)
        assert shared.get() is value
        seen = {pid for _, pid in engine.run(lambda _: (shared.get(), time.sleep(0.06), os.getpid())[2], [0] * 20)}
        again = {pid for _, pid in engine.run(lambda _: (shared.get(), time.sleep(0.06), os.getpid())[2], [0] * 20)}
    told = list(map(int, (tmp_path / "told").read_text().split()))
    assert len(told) == len(seen | again) == 2
    assert set(told) == seen | again


def test_a_job_in_the_calling_process_sees_the_value_itself() -> None:
    with local(1) as engine:
        value = [1]
        shared = engine.share(value)
        list(engine.run(lambda n: shared.get().append(n), [2, 3]))
    assert value == [1, 2, 3]
    assert engine.slots == 1


def test_jobs_whose_workers_are_killed_come_back_once(tmp_path: Path) -> None:
    def work(n: int) -> int:
        mark = tmp_path / str(n)
        if n == 2 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return n * n

    with local(2) as engine:
        found = list(engine.run(work, list(range(6))))
    assert sorted(found) == [(n, n * n) for n in range(6)]


@pytest.mark.slow
def test_a_job_that_always_kills_its_worker_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fokker.benchmarks.engine.workers.RETRIES", 1)

    def work(n: int) -> None:
        if n == 7:
            with (tmp_path / "tries").open("a") as file:
                file.write("x")
            os.kill(os.getpid(), signal.SIGKILL)

    with local(2) as engine, pytest.raises(ChildProcessError, match=r"The worker of the job 7 was killed 2 times, per"):
        list(engine.run(work, [7]))
    assert (tmp_path / "tries").read_text() == "xx"


def test_a_run_that_is_left_early_stops_its_workers() -> None:
    with local(2) as engine:
        run = engine.run(lambda n: (time.sleep(n), os.getpid())[1], [0.0, 99.0, 99.0])
        _, pid = next(run)
        assert _alive(pid)
        del run
        start = time.monotonic()
    assert time.monotonic() - start < 10.0
    assert not _alive(pid)


DRIVER = """
import os, time
from fokker.benchmarks.engine import local

with local(2) as engine:
    for _, pid in engine.run(lambda n: (time.sleep(n), os.getpid())[1], [0.06] * 8 + [99.0] * 2):
        print(pid, flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["SIGKILL", "SIGINT"])
def test_no_worker_and_no_file_outlives_its_caller(number: signal.Signals, tmp_path: Path) -> None:
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        env=os.environ | {"TMPDIR": str(tmp_path)}, text=True
    )  # fmt: skip
    assert driver.stdout is not None
    workers = {int(driver.stdout.readline()) for _ in range(8)}
    assert all(map(_alive, workers))
    if number == signal.SIGINT:
        os.killpg(driver.pid, number)  # as a terminal does
    else:
        driver.send_signal(number)
    _, told = driver.communicate(timeout=60.0)
    end = time.monotonic() + 30.0
    while (any(map(_alive, workers)) or any(tmp_path.iterdir())) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(_alive, workers))
    assert list(tmp_path.iterdir()) == []
    assert told.count("KeyboardInterrupt") == (number == signal.SIGINT)


def test_an_interrupt_while_workers_start_is_told_by_the_caller_alone() -> None:
    code = DRIVER.replace("with local(2)", "print('begun', flush=True)\nwith local(2)")
    driver = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, text=True
    )
    assert driver.stdout is not None
    driver.stdout.readline()
    time.sleep(0.3)
    os.killpg(driver.pid, signal.SIGINT)
    _, told = driver.communicate(timeout=60.0)
    assert told.count("Traceback") == told.count("KeyboardInterrupt") == 1


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: local(0), "workers is 0, but must be a whole number from 1 to 1024"),
        (lambda: local(True), "workers is True"),
        (lambda: local(1).run(3, []), "work is of type int; give a function of a job"),
        (lambda: local(1).run(abs, (1, 2)), "jobs is of type tuple; give a list, which the run empties"),
    ],
)
def test_wrong_values_are_refused_at_the_call(call: Callable[[], object], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        call()
