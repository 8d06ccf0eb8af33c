"""Machine code for the kernels, made once a session, in a cache of the session's own."""
from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from pcapnat.kernel import native
from pcapnat.kernel.engine import INNER, KERNELS

Natively = Callable[[], AbstractContextManager[None]]


@pytest.fixture(scope="session", autouse=True)
def session_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep machine code where no other run leaves or finds any."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PCAPNAT_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("PCAPNAT_KERNELS", raising=False)
        yield


@pytest.fixture(scope="session")
def natively(session_cache: None) -> Natively:
    """A context in which every kernel that was known when it was first asked for runs natively; outside it they run plain."""
    native.load(KERNELS, INNER)
    code = {k: k.native for k in KERNELS}
    for k in KERNELS:
        k.native = None

    @contextmanager
    def context() -> Iterator[None]:
        for k, function in code.items():
            k.native = function
        try:
            yield
        finally:
            for k in code:
                k.native = None
    return context


@pytest.fixture(params=["plain", "native"])
def mode(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the test twice: kernels plain, kernels native."""
    if request.param == "plain":
        yield "plain"
    else:
        with request.getfixturevalue("natively")():
            yield "native"


@pytest.fixture(scope="session")
def captures() -> list[str]:
    """The project's bundled captures."""
    here = os.path.join(os.path.dirname(os.path.dirname(__file__)), "captures")
    return sorted(os.path.join(folder, name) for folder, _, names in os.walk(here) for name in names if name.endswith((".pcap", ".pcapng")))


@pytest.fixture(scope="session")
def pairs(captures: list[str]) -> list[tuple[str, str]]:
    """The bundled captures that show both sides of a box, inside first; a folder may hold other points, too."""
    found = [(path, path.removesuffix("inside.pcap") + "outside.pcap") for path in captures if path.endswith("inside.pcap")]
    assert found
    assert all(outside in captures for _, outside in found)
    return found
