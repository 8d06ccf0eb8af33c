"""The model against one made of dictionaries, on frames that hypothesis makes up; and against itself, in parts and compiled."""
from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from steps import frames, said

from pcapnat.model import Choice, NatModel, Quotes, Traffic, Verdicts
from pcapnat.nat.behavior import Filtering, Hairpin, Mapping, NatBehavior, PortChoice, PortRange
from pcapnat.nat.presets import PRESETS

Natively = Callable[[], AbstractContextManager[None]]
N = "203.0.113.1"
LOW, HIGH = 7000, 7003
IDLE = 30.0


@dataclass
class Plain:
    """A NAT for UDP as the RFCs tell it: sessions by both their tuples, all else looked up by going through them."""

    behavior: NatBehavior
    sessions: dict[tuple[str, str], list] = field(default_factory=dict)
    """(inside, remote) -> [outside port, time it dies]."""

    def live(self, now: float) -> dict[tuple[str, str], list]:
        self.sessions = {k: s for k, s in self.sessions.items() if s[1] > now}
        return self.sessions

    def mapped(self, inside: str, remote: str, now: float) -> int | None:
        """The outside port of the mapping that a new session of this inside endpoint belongs to."""
        for (i, d), (port, _) in self.live(now).items():
            if i == inside and part(d, self.behavior.mapping.depth) == part(remote, self.behavior.mapping.depth):
                return port
        return None

    def free(self, port: int, remote: str, now: float) -> bool:
        return not any(p == port and (not self.behavior.port_overloading or d == remote) for (_, d), (p, _) in self.live(now).items())

    def out(self, inside: str, remote: str, now: float, hint: int | None, got: str, choice: Choice) -> str:
        """What comes out; a port that is free to choose is taken from what the model chose, if it may be."""
        session = self.live(now).get((inside, remote))
        if session is None:
            port = self.mapped(inside, remote, now)
            if port is None:
                ports = [p for p in range(LOW, HIGH + 1) if self.free(p, remote, now)]
                if not ports:
                    return "dropped NO_PORT"
                if hint in ports:
                    assert choice is Choice.HINTED
                    port = hint
                else:
                    assert choice is (Choice.FREE if hint is None else Choice.REFUSED)
                    port = int(got.split(" ")[1].rpartition(":")[2])
                    assert port in ports
            session = self.sessions[(inside, remote)] = [port, 0.0]
            session[1] = now + IDLE
        if self.behavior.refresh_outbound:
            session[1] = now + IDLE
        return f"out {N}:{session[0]} > {remote}"

    def back(self, remote: str, port: int, now: float) -> str:
        found = [(i, d, s) for (i, d), s in self.live(now).items() if s[0] == port]
        for i, d, s in found:
            if d == remote:
                if self.behavior.refresh_inbound:
                    s[1] = now + IDLE
                return f"in {remote} > {i}"
        depth = self.behavior.filtering.depth
        if not found:
            return "dropped NO_MAPPING"
        if self.behavior.port_overloading and depth == 2:
            return "dropped NO_MAPPING"  # then only pairs of endpoints are kept, and who else uses the port is not looked up
        if depth < 2 and any(part(d, depth) == part(remote, depth) for _, d, _ in found):
            inside = found[-1][0]
            if (inside, remote) in self.sessions:
                return "dropped NO_PORT"
            self.sessions[(inside, remote)] = [port, now + IDLE]
            return f"in {remote} > {inside}"
        return "dropped FILTERED"


def part(endpoint: str, depth: int) -> str:
    """As much of an endpoint as counts."""
    return ("", endpoint.rpartition(":")[0], endpoint)[depth]


INSIDE = st.sampled_from(["10.0.0.2:4000", "10.0.0.2:4001", "10.0.0.3:4000"])
REMOTE = st.sampled_from(["192.0.2.1:53", "192.0.2.1:54", "192.0.2.2:53"])
PORTS = st.integers(LOW - 1, HIGH + 1)
GAPS = st.sampled_from([0.0, 0.5, 14.0, 29.5, 30.0, 31.0])
STEPS = st.lists(st.tuples(GAPS, st.booleans(), INSIDE, REMOTE, PORTS, st.booleans()), min_size=1, max_size=60)


@given(
    steps=STEPS,
    mapping=st.sampled_from([Mapping.ENDPOINT_INDEPENDENT, Mapping.ADDRESS_DEPENDENT, Mapping.ADDRESS_AND_PORT_DEPENDENT]),
    filtering=st.sampled_from(Filtering),
    overloading=st.booleans(),
    refresh=st.sampled_from([(True, True), (True, False), (False, True)]),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_same_as_with_dictionaries(
    steps: list[tuple[float, bool, str, str, int, bool]],
    mapping: Mapping,
    filtering: Filtering,
    overloading: bool,
    refresh: tuple[bool, bool],
) -> None:
    """Verdicts are the same, frame by frame; free choices are within what is allowed."""
    if overloading and (mapping is not Mapping.ADDRESS_AND_PORT_DEPENDENT or filtering.depth < 2):
        overloading = False  # one endpoint for several hosts: who is meant is told by the remote endpoint only
    behavior = NatBehavior(addresses=(N,), mapping=mapping, filtering=filtering, port_overloading=overloading, udp_idle_s=IDLE,
                           port_ranges=(PortRange(LOW, HIGH),), refresh_outbound=refresh[0], refresh_inbound=refresh[1])
    model, plain, now = NatModel(behavior), Plain(behavior), 0.0
    for gap, outward, inside, remote, port, hinted in steps:
        now += gap
        if outward:
            line = f"{now} in {inside} > {remote} udp" + (f" hint={N}:{port}" if hinted else "")
        else:
            line = f"{now} out {remote} > {N}:{port} udp"
        t, q, _ = frames([line])
        v, w = model.play(t, q)
        got, choice = said(v, w, t, 0), Choice(int(v.choice[0]))
        expected = plain.out(inside, remote, now, port if hinted else None, got, choice) if outward else plain.back(remote, port, now)
        assert got == expected, line


WILD = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.1, 3.0, 31.0, 121.0]),
        st.sampled_from([
            "in {i} > {d} {what}", "in {i} > {d} {what} hint={e}", "out {d} > {e} {what}", "in {i} > {e} {what}",
            "out {d} > {e} {what} before={i}", "out {d} > {e} about {e} > {d} {what}", "in {i} > {d} about {d} > {i} {what}",
            "in {i} > {d} {what} ttl=1", "in {i} > {d} {what} fragment=2",
        ]),
        INSIDE,
        REMOTE,
        PORTS,
        st.sampled_from(["udp", "tcp S", "tcp SA", "tcp A", "tcp FA", "tcp R", "tcp .", "ping", "pong", "gre"]),
    ),
    min_size=1, max_size=80,
)  # fmt: skip
BEHAVIORS = {
    **{name: replace(p.behavior, addresses=(N,)) for name, p in PRESETS.items()},
    "hairpin": NatBehavior(
        addresses=(N, "203.0.113.2"), filtering=Filtering.ADDRESS_DEPENDENT, hairpin=Hairpin.EXTERNAL_SOURCE, ports_per_host=3
    ),
    "blocks": NatBehavior(addresses=(N,), port_choice=PortChoice.BLOCK, block_size=2, port_ranges=(PortRange(7000, 7005),), table_size=4),
}


def script(steps: list[tuple[float, str, str, str, int, str]]) -> tuple[Traffic, Quotes]:
    """Traffic of the shapes above."""
    now, lines = 0.0, []
    for gap, shape, i, d, port, what in steps:
        now += gap
        if what in ("ping", "pong"):  # an identifier stands at both ends
            i, d = i.replace("4000", "7").replace("4001", "8"), d.replace("53", "7").replace("54", "8")
        lines.append(f"{now:.3f} " + shape.format(i=i, d=d, e=f"{N}:{port}", what=what))
    t, q, _ = frames(lines)
    return t, q


def equal(one: tuple[Verdicts, Quotes], other: tuple[Verdicts, Quotes]) -> None:
    """All columns of both tables."""
    for a, b in zip(one, other, strict=True):
        for name in a.columns:
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name), name)


@pytest.mark.parametrize("name", ["linux-masquerade", "linux-random", "winnat", "rfc4787", "cisco-ios", "hairpin", "blocks"])
@given(steps=WILD, cut=st.integers(0, 80))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_in_parts_and_compiled(name: str, natively: Natively, steps: list[tuple[float, str, str, str, int, str]], cut: int) -> None:
    """Played at once, in two parts, and by machine code: the same verdicts."""
    t, q = script(steps)
    whole = NatModel(BEHAVIORS[name]).play(t, q)
    model = NatModel(BEHAVIORS[name])
    first, _ = model.play(t.part(0, cut), q)
    second, _ = model.play(t.part(min(cut, len(t)), len(t)), q)
    np.testing.assert_array_equal(np.concatenate([first.src, second.src]), whole[0].src)
    np.testing.assert_array_equal(np.concatenate([first.sport, second.sport]), whole[0].sport)
    np.testing.assert_array_equal(np.concatenate([first.reason, second.reason]), whole[0].reason)
    with natively():
        equal(NatModel(BEHAVIORS[name]).play(t, q), whole)


@pytest.mark.usefixtures("mode")
def test_many_sessions() -> None:
    """Tables that grow and forget: every session of the last minute is there, none before; memory stays below 200 bytes a session."""
    count = 3000
    t = Traffic.empty(count)
    t.time_ns[:] = np.arange(count) * 100_000_000
    t.src[:, 1] = (0xFFFF << 32 | 0x0A000000) + np.arange(count)
    t.dst[:, 1] = 0xFFFF << 32 | 0xC6336401
    t.sport[:], t.dport[:], t.proto[:], t.kind[:], t.ttl[:], t.quote[:], t.hint_port[:] = 4000, 53, 17, 1, 64, -1, -1
    model = NatModel(replace(PRESETS["linux-masquerade"].behavior, addresses=(N,)))
    model.play(t)
    assert model.sessions_made == count
    alive = model.sessions()
    assert [s.number for s in alive] == list(range(count - 300, count))
    assert {s.answer[4] for s in alive if s.number == count - 1} != {4000}
    t.time_ns[:] = t.time_ns[-1] + 60 * 10**9
    model.play(t)
    assert model.bytes_used / len(model.sessions()) < 200 * 4096 / count
