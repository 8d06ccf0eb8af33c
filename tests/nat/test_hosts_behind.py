"""Hosts behind an address: made stacks of known kinds are counted, or fewer, never more; presence of a NAT by what passes."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from pcapnat.cli import cli
from pcapnat.flow import Conversations, Port
from pcapnat.message.carried import Carried, What
from pcapnat.nat.hosts import Behind, hosts_behind
from pcapnat.nat.presence import double_nat, presence
from pcapnat.wire import Flag, Packets, Quoted

NS = 1_000_000_000
CAPTURES = Path(__file__).parents[2] / "captures"
NAT = (0, 0xFFFFCB00710A)
Frame = dict[str, Any]


def port(frames: list[Frame]) -> Port:
    """A capture of these frames (s, remote, talk, and any column), all sent by one address; a talk is a conversation."""
    frames = sorted(frames, key=lambda f: f["s"])
    p, talks = Packets.empty(len(frames)), sorted({f["talk"] for f in frames})
    p.src[:] = NAT
    for k, f in enumerate(frames):
        p.time_ns[k] = int(f["s"] * NS)
        p.dst[k] = (0, 0xFFFFC6336400 + f["remote"])
        for name in set(f) - {"s", "remote", "talk"}:
            getattr(p, name)[k] = f[name]
    c = Conversations.empty(len(talks))
    number = {t: k for k, t in enumerate(talks)}
    of = np.array([number[f["talk"]] for f in frames], np.int32)
    first = np.unique(of, return_index=True)[1]
    c.proto[:], c.a[:], c.b[:] = p.proto[first], p.src[first], p.dst[first]
    c.a_port[:], c.b_port[:] = p.sport[first], p.dport[first]
    c.first_ns[:], c.marks[:], c.first_row[:] = p.time_ns[first], (1 << 62) - 1, first
    zeros = np.zeros(len(frames), np.uint8)
    return Port("x", ("x",), (len(frames),), p, Quoted.empty(0), c, of, zeros, np.zeros(0, np.int32))


def tcp(draw: Any, hosts: int, each: int, clock: str, seconds: float = 30.0, rate: int = 1000, ttl: int = 63) -> list[Frame]:
    """SYNs of hosts to three remotes. clock: what the timestamp counts from: "pair", "host", "connection"."""
    base = draw.integers(0, 1 << 32, (hosts, 3)) if clock == "pair" else np.repeat(draw.integers(0, 1 << 32, (hosts, 1)), 3, 1)
    out = []
    for h in range(hosts):
        for k in range(each):
            s, remote = float(draw.uniform(0, seconds)), int(draw.integers(3))
            start = int(draw.integers(1 << 32)) if clock == "connection" else int(base[h, remote])
            late = float(draw.exponential(0.001))
            out.append({
                "s": s + late, "remote": remote, "talk": (ttl, h, k), "proto": 6, "ttl": ttl, "tcp_flags": 2,
                "sport": int(draw.integers(1024, 65536)), "dport": 443,
                "tsval": (start + int(s * (1 + 2e-5 * h) * rate)) % (1 << 32), "flags": int(Flag.IP | Flag.TCP | Flag.TIMESTAMPS),
            })  # fmt: skip
    return out


def udp(draw: Any, hosts: int, each: int, counter: str, seconds: float = 30.0) -> list[Frame]:
    """Datagrams of hosts to three remotes, two a socket. counter: "pair" with Linux's random steps, "host", or "socket"."""
    times = sorted((float(draw.uniform(0, seconds)), h, k, int(draw.integers(3))) for h in range(hosts) for k in range(each))
    at, last = draw.integers(0, 65536, (hosts, 3)), np.zeros((hosts, 3))
    at = at if counter == "pair" else np.repeat(at[:, :1], 3, 1)
    out = []
    for s, h, k, remote in times:
        sport, own = int(draw.integers(1024, 65536)), int(draw.integers(65536))
        for n in range(2):
            if counter == "socket":
                ip_id = own + n
            else:
                step = (
                    1 + int(draw.integers(0, max(1, int((s - last[h, remote]) * 250)))) if counter == "pair" else int(draw.integers(1, 4))
                )
                at[h, remote if counter == "pair" else slice(None)] += step
                last[h, remote] = s
                ip_id = int(at[h, remote])
            out.append({
                "s": s + n / 1000, "remote": remote, "talk": (h, k), "proto": 17, "ttl": 63, "sport": sport, "dport": 53,
                "ip_id": ip_id % 65536 or 1, "flags": int(Flag.IP | Flag.UDP),
            })  # fmt: skip
    return out


def downloads(draw: Any, sockets: int, each: int) -> list[Frame]:
    """Long conversations at a time, each with identifications of its own, which cross one another."""
    out = []
    for k in range(sockets):
        start, at = draw.uniform(0, 5), int(draw.integers(65536))
        for n in range(each):
            at += int(draw.integers(1, 3))
            out.append({
                "s": start + n * 0.05, "remote": 0, "talk": k, "proto": 17, "ttl": 63, "sport": 2000 + k, "dport": 443,
                "ip_id": at % 65536 or 1, "flags": int(Flag.IP | Flag.UDP),
            })  # fmt: skip
    return out


def behind(frames: list[Frame]) -> Behind:
    return hosts_behind(port(frames))[0]


@pytest.mark.parametrize("hosts", [2, 5, 20])
@pytest.mark.parametrize(("clock", "rate"), [("pair", 1000), ("host", 1000), ("host", 100), ("host", 250)])
def test_clocks(hosts: int, clock: str, rate: int) -> None:
    for seed in range(5):
        found = behind(tcp(np.random.default_rng(seed), hosts, 30, clock, rate=rate))
        assert 0.8 * hosts <= found.at_least <= hosts
        assert found.estimate in (None, found.at_least)
    assert found.methods["tcp_timestamps"].value == found.at_least


@pytest.mark.parametrize("hosts", [2, 5, 20])
@pytest.mark.parametrize("counter", ["pair", "host"])
def test_identification_counters(hosts: int, counter: str) -> None:
    counted = [behind(udp(np.random.default_rng(seed), hosts, 30 if hosts < 20 else 60, counter)).at_least for seed in range(8)]
    assert max(counted) <= hosts
    assert 0.8 * hosts <= np.mean(counted)


@pytest.mark.parametrize("each", [10, 100, 400])
def test_one_host_is_one(each: int) -> None:
    """Whatever its stack, however much it sends: random timestamps and identifications make no hosts."""
    for seed in range(6 if each < 400 else 2):
        draw = np.random.default_rng(seed)
        for frames in (
            *(
                tcp(draw, 1, each, clock, seconds, rate)
                for clock in ("pair", "host", "connection")
                for rate in (1000, 100)
                for seconds in (2, 60)
            ),
            *(udp(draw, 1, each, counter, seconds) for counter in ("pair", "host", "socket") for seconds in (2.0, 60.0)),
            tcp(draw, 1, each, "host", 7200.0),
        ):
            found = behind(frames)
            assert (found.at_least, found.estimate) == (1, None)


@pytest.mark.parametrize("hosts", [5, 30])
def test_stacks_that_begin_anew_are_not_counted(hosts: int) -> None:
    draw = np.random.default_rng(7)
    assert behind(tcp(draw, hosts, 30, "connection")).at_least == 1
    assert behind(udp(draw, hosts, 30, "socket")).at_least == 1


def test_counters_that_cross_are_not_shared() -> None:
    for seed in range(6):
        assert behind(downloads(np.random.default_rng(seed), 60, 100)).at_least == 1


def test_a_host_that_slept_is_one() -> None:
    """Its clock stands still meanwhile: two lines, one after the other."""
    draw = np.random.default_rng(8)
    early, late = tcp(draw, 1, 20, "host", 30), tcp(draw, 1, 20, "host", 30)
    for k, f in enumerate(late):
        f["s"], f["talk"] = f["s"] + 300, (64, 0, k)
    assert behind(early + late).at_least == 1


def test_port_counters_and_ttls() -> None:
    """Three hosts whose ports a NAT keeps, each with a counter; and two systems by their TTLs."""
    draw = np.random.default_rng(9)
    frames = tcp(draw, 3, 40, "connection")
    for h in range(3):
        mine = sorted((f for f in frames if f["talk"][1] == h), key=lambda f: f["s"])
        for remote in range(3):
            at = 10000 + 15000 * h + 3000 * remote
            for f in mine:
                if f["remote"] == remote:
                    at += 2 * int(draw.integers(1, 8))
                    f["sport"] = at
    found = behind(frames)
    assert (found.at_least, found.methods["source_ports"].value, found.estimate) == (3, 3, 3)
    mixed = behind(tcp(draw, 1, 20, "connection") + tcp(draw, 1, 20, "connection", ttl=127))
    assert (mixed.at_least, mixed.methods["initial_ttl"].value) == (2, 2)


def test_nothing_is_no_host() -> None:
    assert hosts_behind(port([])) == []
    assert hosts_behind(port(tcp(np.random.default_rng(1), 1, 2, "host"))) == []


def test_times_of_any_kind() -> None:
    """Frames of two centuries, timestamps that turn over."""
    frames = tcp(np.random.default_rng(2), 2, 20, "host")
    for k, f in enumerate(frames):
        f["s"] += 4e9 * (k % 2)
        f["tsval"] = (f["tsval"] + (1 << 32) - 5000) % (1 << 32)
    assert behind(frames).at_least <= 2


def v4(name: str) -> tuple[int, int]:
    return 0, 0xFFFF << 32 | int.from_bytes(bytes(map(int, name.split("."))), "big")


@pytest.mark.parametrize(("what", "source", "target", "told", "beyond", "before"), [
    (What.STUN_MAPPED, "198.51.100.1", "192.168.1.5", "203.0.113.9", True, None),
    (What.STUN_MAPPED, "198.51.100.1", "203.0.113.9", "203.0.113.9", False, None),
    (What.STUN_MAPPED, "198.51.100.1", "100.64.0.9", "203.0.113.9", True, None),
    (What.SIP_RECEIVED, "198.51.100.1", "192.168.1.5", "203.0.113.9", True, None),
    (What.SIP_CONTACT, "203.0.113.9", "198.51.100.1", "192.168.1.5", None, True),
    (What.FTP_PORT, "203.0.113.9", "198.51.100.1", "192.168.1.5", None, True),
    (What.FTP_PORT, "192.168.1.5", "198.51.100.1", "192.168.1.5", None, None),
    (What.SDP_MEDIA, "203.0.113.9", "198.51.100.1", "198.51.100.77", None, None),
    (What.STUN_MAPPED, "198.51.100.1", "192.168.1.5", "0.0.0.0", None, None),
])  # fmt: skip
def test_addresses_in_payloads(what: What, source: str, target: str, told: str, beyond: bool | None, before: bool | None) -> None:
    """What the other side says it saw, and what a host says of itself."""
    here, c = port([{"s": 0, "remote": 0, "talk": 0}]), Carried.empty(1)
    here.packets.src[0], here.packets.dst[0] = v4(source), v4(target)
    c.what[0], c.address[0], c.port[0] = what, v4(told), 4711
    found = presence(here, SimpleNamespace(carried=c))  # type: ignore[arg-type]
    assert (found.beyond.value, found.before.value) == (beyond, before)
    assert (told in found.outside, told in found.inside) == (beyond is True, before is True)


@pytest.mark.parametrize(("to", "quoted", "beyond", "before"), [
    ("192.168.1.5", "203.0.113.9", True, None),
    ("203.0.113.9", "192.168.1.5", None, True),
    ("203.0.113.9", "203.0.113.9", None, None),
])  # fmt: skip
def test_quotes_that_a_nat_left_alone(to: str, quoted: str, beyond: bool | None, before: bool | None) -> None:
    here = port([{"s": 0, "remote": 0, "talk": 0, "proto": 1, "flags": int(Flag.IP | Flag.ICMP | Flag.QUOTE)}])
    here.packets.dst[0], here.quoted = v4(to), Quoted.empty(1)
    here.quoted.src[0] = v4(quoted)
    found = presence(here, SimpleNamespace(carried=Carried.empty(0)))  # type: ignore[arg-type]
    assert (found.beyond.value, found.before.value) == (beyond, before)


def test_double_nat_by_address_class() -> None:
    told = double_nat(np.array([v4("100.64.3.11")], np.uint64))
    assert told.value
    assert "carriers" in told.note
    assert double_nat(np.array([v4("10.0.0.2"), v4("10.0.0.2")], np.uint64)).value is True
    assert double_nat(np.array([v4("203.0.113.10")], np.uint64)).value is False
    assert double_nat(np.zeros((0, 2), np.uint64)).value is None


@pytest.mark.parametrize("folder", ["demo", "linux-masquerade", "linux-port-forward", "linux-ftp-alg", "linux-netmap", "slirp-user-nat"])
def test_bundled_captures(folder: str) -> None:
    """Never more than the hosts there are; a private host that is answered from outside has a NAT; outside none is claimed."""
    truth: dict[str, set[str]] = {}
    for t in json.loads((CAPTURES / folder / "expected.json").read_text())["translations"]:
        if t["initiator"] == "inside":
            truth.setdefault(t["outside"]["src"]["address"], set()).add(t["inside"]["src"]["address"])

    def point(side: str) -> Any:
        ran = CliRunner().invoke(cli, ["analyze", str(CAPTURES / folder / f"{side}.pcap"), "--format", "json"])
        return json.loads(ran.stdout)["points"][0]

    outside = point("outside")
    for h in outside["hosts_behind"]:
        assert h["hosts"]["at_least"] <= max(1, len(truth.get(h["address"], ())))
        assert h["hosts"]["at_most"] is None
    assert outside["nat"]["beyond"]["value"] is None
    assert point("inside")["nat"]["beyond"]["value"] is True
    if folder == "demo":
        assert outside["hosts_behind"][0]["hosts"]["at_least"] == 3
