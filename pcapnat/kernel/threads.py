"""Kernels side by side: machine code runs outside the interpreter's lock, so threads use all processors."""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import Thread
from typing import Any

from .engine import compiled


def cores() -> int:
    """Processors this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def together(*jobs: Callable[[], Any]) -> None:
    """Do all jobs, a thread each where that gains something, else one after the other. What one of them raises is raised here."""
    if len(jobs) < 2 or not compiled() or cores() < 2:
        for job in jobs:
            job()
        return
    raised: list[BaseException] = []

    def one(job: Callable[[], Any]) -> None:
        try:
            job()
        except BaseException as error:
            raised.append(error)

    threads = [Thread(target=one, args=(job,)) for job in jobs[1:]]
    for thread in threads:
        thread.start()
    one(jobs[0])
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]
