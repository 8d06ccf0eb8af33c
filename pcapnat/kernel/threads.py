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


def beside(job: Callable[[], Any]) -> Callable[[], None]:
    """Begin a job in a thread, where that gains something, else do it now; what comes back waits for its end, and raises what it raised."""
    if not compiled() or cores() < 2:
        job()
        return lambda: None
    raised: list[BaseException] = []

    def one() -> None:
        try:
            job()
        except BaseException as error:
            raised.append(error)

    thread = Thread(target=one)
    thread.start()

    def wait() -> None:
        thread.join()
        if raised:
            raise raised[0]

    return wait


def together(*jobs: Callable[[], Any]) -> None:
    """Do all jobs, a thread each where that gains something, else one after the other. What one of them raises is raised here."""
    if len(jobs) < 2 or not compiled() or cores() < 2:
        for job in jobs:
            job()
        return
    waits = [beside(job) for job in jobs[1:]]
    try:
        jobs[0]()
    finally:
        for wait in waits:
            wait()
