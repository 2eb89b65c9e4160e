"""Jobs on a Ray cluster of two machines, both played by this one: workers, machines and callers are killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from fokker.benchmarks.engine import Engine, engine_named, ray

library = pytest.importorskip("ray", reason="the cluster needs Ray")
cluster_utils = pytest.importorskip("ray.cluster_utils", reason="the cluster needs Ray")
cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import it

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # of Ray: files that it leaves open


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    made = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 1})
    made.add_node(num_cpus=1)
    yield made
    made.shutdown()


@pytest.fixture
def engine(cluster: Any) -> Iterator[Engine]:
    with ray(cluster.address) as engine:
        yield engine


def test_jobs_come_back_once_and_more_may_be_appended(engine: Engine) -> None:
    jobs = list(range(10, 30))
    found = []
    for job, result in engine.run(lambda n: n * n, jobs):
        found.append((job, result))
        if job >= 20:
            jobs.append(job - 20)
    assert sorted(found) == [(n, n * n) for n in range(30)]
    assert jobs == []
    assert engine.slots == 2


@pytest.mark.slow
def test_both_machines_work_and_each_process_loads_a_shared_value_once(engine: Engine, tmp_path: Path) -> None:
    class Loaded:
        def __setstate__(self, state: dict[str, Any]) -> None:
            with (tmp_path / str(os.getpid())).open("a") as file:
                file.write("x")

        def __getstate__(self) -> dict[str, Any]:
            return {"some": "state"}

    value = Loaded()
    shared = engine.share(value)
    assert shared.get() is value

    def work(_: int) -> tuple[int, str]:
        shared.get()
        time.sleep(0.1)
        return os.getpid(), library.get_runtime_context().get_node_id()

    seen = {result for _, result in engine.run(work, list(range(20)))}
    assert len({node for _, node in seen}) == 2
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {str(pid): "x" for pid, _ in seen}


@pytest.mark.slow
def test_an_error_in_a_job_reaches_the_caller_and_the_engine_goes_on(engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError) as failure:
        list(engine.run(lambda n: 1 // n, [1, 0, 2]))
    assert "In a worker:" in failure.value.__notes__[0]
    assert list(engine.run(abs, [-3])) == [(-3, 3)]


@pytest.mark.slow
def test_jobs_whose_workers_are_killed_come_back_once(engine: Engine, tmp_path: Path) -> None:
    def work(n: int) -> int:
        mark = tmp_path / str(n)
        if n % 4 == 0 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return n * n

    assert sorted(engine.run(work, list(range(9)))) == [(n, n * n) for n in range(9)]


@pytest.mark.slow
def test_a_job_that_always_kills_its_worker_is_named(engine: Engine, tmp_path: Path) -> None:
    def work(n: int) -> None:
        with (tmp_path / "tries").open("a") as file:
            file.write("x")
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(ChildProcessError, match="The worker of the job 7 was killed 4 times"):
        list(engine.run(work, [7]))
    assert (tmp_path / "tries").read_text() == "xxxx"


@pytest.mark.slow
def test_a_machine_that_dies_takes_nothing_along(cluster: Any, engine: Engine) -> None:
    """The large results of the machine that dies may lie there: they are computed again."""
    third = cluster.add_node(num_cpus=1)
    end = time.monotonic() + 30.0
    while engine.slots < 3 and time.monotonic() < end:
        time.sleep(0.1)
    assert engine.slots == 3

    def work(n: int) -> tuple[bytes, str]:
        time.sleep(0.2)
        return bytes([n]) * 300_000, library.get_runtime_context().get_node_id()

    found = []
    for job, (data, node) in engine.run(work, list(range(40))):
        found.append((job, data))
        if third is not None and node == third.node_id:
            cluster.remove_node(third, allow_graceful=False)
            third = None
    assert third is None
    assert sorted(found) == [(n, bytes([n]) * 300_000) for n in range(40)]


DRIVER = """
import os, sys, time
from fokker.benchmarks.engine import ray

with ray(sys.argv[1]) as engine:
    for _, pid in engine.run(lambda n: (time.sleep(n), os.getpid())[1], [0.3] * 6 + [99.0] * 2):
        print(pid, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["SIGKILL", "SIGINT"])
def test_no_worker_outlives_its_caller(number: signal.Signals, cluster: Any) -> None:
    command = [sys.executable, "-c", DRIVER, cluster.address]
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    workers = {int(driver.stdout.readline()) for _ in range(6)}
    time.sleep(0.2)
    driver.send_signal(number)
    driver.communicate(timeout=60.0)
    end = time.monotonic() + 30.0
    while any(map(_alive, workers)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(_alive, workers))


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
def test_workers_find_modules_of_the_callers_folder(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    (tmp_path / "here" / "of_the_folder.py").write_text("def work(n):\n    return n + 1\n")
    (tmp_path / "there" / "of_the_path.py").write_text("def work(n):\n    return n + 2\n")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.syspath_prepend(tmp_path / "there")
    monkeypatch.syspath_prepend("")
    import of_the_folder
    import of_the_path

    with ray(cluster.address) as engine:
        assert list(engine.run(of_the_folder.work, [1])) == [(1, 2)]
        assert list(engine.run(of_the_path.work, [1])) == [(1, 3)]
    for name in ("of_the_folder", "of_the_path"):
        del sys.modules[name]


@pytest.mark.slow
def test_a_job_may_take_a_part_of_a_gpu(cluster: Any) -> None:
    with ray(cluster.address, gpus=0.5) as engine:
        assert engine.slots == 2
        assert list(engine.run(lambda _: os.environ["CUDA_VISIBLE_DEVICES"], [1])) == [(1, "0")]
    with ray(cluster.address) as engine:
        assert engine.slots == 2
    with pytest.raises(ValueError, match="has 2 processors and 1 GPUs; a job takes a processor and 2 GPUs"):
        ray(cluster.address, gpus=2.0)
    assert not library.is_initialized()


@pytest.mark.slow
def test_a_connection_that_is_there_is_taken_and_left_alone(cluster: Any) -> None:
    library.init(cluster.address, logging_level="error", log_to_driver=False)
    try:
        with ray() as engine:
            assert list(engine.run(abs, [-1])) == [(-1, 1)]
        assert library.is_initialized()
        with pytest.raises(ValueError, match="connected to a Ray cluster already; leave out the address 'a:1'"):
            ray("a:1")
    finally:
        library.shutdown()


def test_what_is_no_cluster_is_told_at_once() -> None:
    def answer(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        thread = threading.Thread(target=answer, args=(server,))
        thread.start()
        start = time.monotonic()
        with pytest.raises(OSError, match=f"What answers at 127.0.0.1:{port} is no Ray cluster; see which port"):
            ray(f"127.0.0.1:{port}")
        thread.join()
    with pytest.raises(OSError, match=f"No Ray cluster answers at ray://127.0.0.1:{port} .Connection refused.; see"):
        engine_named("ray", address=f"ray://127.0.0.1:{port}")
    assert time.monotonic() - start < 5.0


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r'needs Ray; install it: pip install "fokker\[cluster\]"'):
        ray()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ray("nowhere"), "address is 'nowhere', but must be HOST:PORT"),
        (lambda: ray("host:99999"), "address is 'host:99999', but must be HOST:PORT"),
        (lambda: ray(6379), "address is of type int; give the address of a cluster"),
        (lambda: ray(gpus=-1.0), "gpus is -1, but must be a finite number from 0 to 1024"),
        (lambda: engine_named("slurm"), "Unknown engine 'slurm'; choose one of local, ray"),
        (lambda: engine_named("local", address="a:1"), "address is 'a:1', but belongs to a cluster"),
    ],
)
def test_wrong_values_are_refused_at_the_call(call: Callable[[], object], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        call()
