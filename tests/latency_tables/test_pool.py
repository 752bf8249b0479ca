# SPDX-License-Identifier: Apache-2.0
"""Several processes at a time: all results, none left behind, and a sentence when one dies."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pooled
import pytest

from tinytailor.latency_tables.measuring.pool import BACKENDS, Pool, results
from tinytailor.targets.errors import InputError, ToolError

pytestmark = [pytest.mark.pure]


@pytest.mark.parametrize("workers", [1, 2])
def test_every_batch_has_its_result_whatever_the_number_of_workers(workers):
    assert sorted(results(pooled.number, range(20), Pool(workers))) == list(range(20))


def test_a_killed_worker_ends_in_a_sentence_that_says_how_to_go_on():
    with pytest.raises(ToolError, match=r"was killed \(out of memory\?\).*fewer --workers"):
        list(results(partial(pooled.kill_the_worker, os.getpid()), range(8), Pool(2)))


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT])
def test_a_parent_that_is_stopped_leaves_no_worker_behind(tmp_path, blow):
    command = [sys.executable, pooled.__file__, str(tmp_path)]
    parent = subprocess.Popen(command, stderr=subprocess.DEVNULL, preexec_fn=heed_ctrl_c)
    wait_for(lambda: len(workers_of(tmp_path)) == 2 and any(tmp_path.glob("*.kept")))
    parent.send_signal(blow)
    parent.wait(timeout=600)
    workers = workers_of(tmp_path)
    wait_for(lambda: not any(alive(worker) for worker in workers))
    assert (tmp_path / "interrupted").exists() == (blow == signal.SIGINT)


def workers_of(folder: Path) -> set[int]:
    """The processes that have begun a task."""
    return {int(mark.suffix[1:]) for mark in folder.glob("*.[0-9]*")}


def heed_ctrl_c() -> None:
    """Jobs in the background of a shell ignore SIGINT, and their children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def alive(process: int) -> bool:
    """Whether it still runs; a zombie that nobody has waited for does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition, seconds: float = 600.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)


def test_pools_that_make_no_sense_are_refused():
    with pytest.raises(InputError, match=r"'threads'; known: loky, dask, ray"):
        Pool(1, "threads")
    with pytest.raises(InputError, match="0 workers"):
        Pool(0)


@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_a_back_end_that_is_not_installed_is_named_with_its_package(backend):
    package = {"dask": "distributed"}.get(backend, backend)
    if importlib.util.find_spec(package) is not None:
        assert sorted(results(pooled.number, range(4), Pool(1, backend))) == [0, 1, 2, 3]
        return
    with pytest.raises(ToolError, match=f"package {package}, which is not installed; run `pip"):
        list(results(pooled.number, [1], Pool(1, backend)))
