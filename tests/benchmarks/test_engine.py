"""Jobs in worker processes: each comes back once, and what is found may ask for more."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from fokker.benchmarks.engine import finished


def test_jobs_that_are_appended_meanwhile_are_run_too() -> None:
    jobs = [3, 5]
    with ThreadPoolExecutor(2) as pool:
        found = []
        for job, result in finished(pool, lambda n: n * n, jobs):
            found.append((job, result))
            if job > 1:
                jobs.append(job - 2)
    assert sorted(found) == [(1, 1), (1, 1), (3, 9), (3, 9), (5, 25)]
    assert jobs == []


def test_no_jobs_no_results() -> None:
    with ThreadPoolExecutor(1) as pool:
        assert list(finished(pool, str, [])) == []


def test_an_error_in_a_job_reaches_the_caller() -> None:
    with ThreadPoolExecutor(1) as pool, pytest.raises(ZeroDivisionError):
        list(finished(pool, lambda n: 1 // n, [0]))
