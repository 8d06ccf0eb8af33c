"""Jobs side by side: all are done, and what one raises comes out."""

from __future__ import annotations

import pytest

from pcapnat import kernel
from pcapnat.kernel import together


@pytest.mark.parametrize("threads", [False, True])
def test_jobs(threads: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pcapnat.kernel.threads.compiled", lambda: threads)
    monkeypatch.setattr("pcapnat.kernel.threads.cores", lambda: 2)
    done: list[int] = []
    kernel.together(*(lambda n=n: done.append(n) for n in range(5)))
    assert sorted(done) == list(range(5))

    def fails() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        together(lambda: done.append(9), fails)
    together()
