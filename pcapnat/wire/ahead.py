"""Reading one batch ahead: while one is being used, a second thread reads and decodes the next."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from queue import SimpleQueue
from threading import Thread

from .. import kernel
from .capture import Capture
from .reader import Batch, Progress, batches
from .select import Selector

WORTH_BYTES = 8 << 20
"""A smaller file is read before a thread would gain anything."""


def batches_ahead(
    capture: Capture, progress: Progress | None = None, selector: Selector | None = None, also: Callable[[Batch], None] | None = None
) -> Iterator[Batch]:
    """As `batches` without fingerprints, read by a second thread if that is worth it; `also` is done to each batch by that thread.

    Not for pipes, whose reading an interrupt ends, nor for traces, nor where kernels run plain: they would wait for one another.
    """
    worth = (capture.file_bytes or 0) >= WORTH_BYTES and capture.again and capture.trace is None and kernel.cores() > 1
    if not worth or not kernel.compiled():
        return batches(capture, 0, progress, selector=selector)
    capture.alternate()
    made = batches(capture, 0, progress, selector=selector, sets=2)
    return ahead(_each(made, also) if also else made)


def _each(made: Iterator[Batch], also: Callable[[Batch], None]) -> Iterator[Batch]:
    for batch in made:
        also(batch)
        yield batch


def ahead(made: Iterator[Batch]) -> Generator[Batch, None, None]:
    """Have the next of an iterator made by another thread while the present one is used. What it raises is raised here."""
    asked: SimpleQueue[bool] = SimpleQueue()
    given: SimpleQueue[tuple[Batch | None, BaseException | None]] = SimpleQueue()

    def make() -> None:
        while asked.get():
            try:
                given.put((next(made, None), None))
            except BaseException as error:
                given.put((None, error))
        getattr(made, "close", int)()

    thread = Thread(target=make, daemon=True)
    thread.start()
    try:
        asked.put(True)
        while True:
            batch, error = given.get()
            if error:
                raise error
            if batch is None:
                return
            asked.put(True)
            yield batch
    finally:
        asked.put(False)
        thread.join()
