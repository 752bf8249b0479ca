# SPDX-License-Identifier: Apache-2.0
"""Batches on several processes at a time, of this machine or of many, through joblib.

    loky   processes of this machine
    dask   the cluster that DASK_SCHEDULER_ADDRESS names, else processes of this machine
    ray    the cluster that RAY_ADDRESS names, else processes of this machine

Results come as they are finished. Workers of this machine end when their parent does, however it
ends, and leave Ctrl-C to it.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, TypeVar

from tinytailor.targets.errors import InputError, ToolError
from tinytailor.targets.names import no_such

BACKENDS = ("loky", "dask", "ray")
WATCH_SECONDS = 0.2
_PACKAGES = {"dask": ("distributed", "dask[distributed]"), "ray": ("ray", "ray")}
Batch = TypeVar("Batch")
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Pool:
    """How many batches run at a time, and where; one batch at a time of loky runs right here."""

    workers: int = 1
    backend: str = "loky"

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise no_such(f"no back end is called {self.backend!r}", self.backend, BACKENDS)
        if self.workers < 1:
            raise InputError(f"{self.workers} workers; expected at least 1")

    @property
    def here(self) -> bool:
        """Whether all work is done on this machine, by this installation."""
        return self.backend == "loky"


def results(
    work: Callable[[Batch], Found], batches: Sequence[Batch], pool: Pool
) -> Iterator[Found]:
    """``work(batch)`` of each batch, as they are finished; ToolError where a process was killed."""
    if pool.here and (pool.workers == 1 or len(batches) <= 1):
        yield from map(work, batches)
        return
    from joblib import Parallel, delayed, parallel_config

    workers = min(pool.workers, max(1, len(batches)))
    with contextlib.ExitStack() as stack:
        stack.enter_context(parallel_config(**_connected(pool.backend, workers, stack)))
        # joblib would hand several batches at once to a process: a kill would lose them all.
        parallel = Parallel(n_jobs=workers, batch_size=1, return_as="generator_unordered")
        found = parallel(delayed(work)(batch) for batch in batches)
        try:
            yield from found
        except BrokenProcessPool:
            raise ToolError(
                "a measuring process was killed (out of memory?); run the same command again to "
                "go on, with fewer --workers"
            ) from None
        finally:
            with warnings.catch_warnings():  # of the batches that are given up
                warnings.simplefilter("ignore")
                found.close()


def _connected(backend: str, workers: int, stack: contextlib.ExitStack) -> dict[str, Any]:
    """Arguments of joblib.parallel_config; what has to be closed afterwards is put on ``stack``."""
    if backend == "loky":
        stack.callback(_end_workers)
        return {"backend": "loky", "initializer": start_worker, "initargs": (os.getpid(),)}
    module, package = _PACKAGES[backend]
    try:
        library = importlib.import_module(module)
        if backend == "ray":
            importlib.import_module("ray.util.joblib").register_ray()
    except ImportError:
        raise ToolError(
            f"--backend {backend} needs the Python package {module}, which is not installed; run "
            f"`pip install '{package}'`, or leave the option out to use this machine alone"
        ) from None
    if backend == "dask":
        address = os.environ.get("DASK_SCHEDULER_ADDRESS")
        local = {"n_workers": workers, "threads_per_worker": 1}
        stack.enter_context(library.Client(address) if address else library.Client(**local))
    elif not library.is_initialized():
        library.init(**({} if os.environ.get("RAY_ADDRESS") else {"num_cpus": workers}))
        stack.callback(library.shutdown)
    return {"backend": backend}


def _end_workers() -> None:
    """joblib would keep them for the next time, with all that they have loaded."""
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor(reuse=True).shutdown(wait=True)


def hide_torch() -> None:
    """Make importing torch fail in this process, unless it is imported already.

    TVM imports it if it is there, which takes longer than TVM itself; measuring needs none.
    """
    sys.modules.setdefault("torch", None)  # type: ignore[arg-type]


def start_worker(parent: int) -> None:
    """Leave Ctrl-C to the parent, and end when the parent does, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    hide_torch()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
