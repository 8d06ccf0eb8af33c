"""Replay: the right model explains every frame of a real NAT's capture, a wrong one is told by what differs."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import dpkt
import pytest
from packet_script import START_NS, Frame, script, write

from pcapnat import analyze
from pcapnat.flow import Crossing
from pcapnat.model import Reason
from pcapnat.nat.behavior import Filtering, Hairpin, Mapping, NatBehavior, PortChoice, PortRange
from pcapnat.nat.presets import PRESETS
from pcapnat.replay import Replay, entered, replay
from pcapnat.replay.compare import Kind
from pcapnat.terms import Point

CAPTURES = Path(__file__).parents[2] / "captures"
LINUX = PRESETS["linux-masquerade"].behavior


def crossing(folder: str) -> Crossing:
    """A bundled pair, matched."""
    here = CAPTURES / folder
    return analyze([Point("inside", (str(here / "inside.pcap"),)), Point("outside", (str(here / "outside.pcap"),))]).boxes[0].crossing


def made(tmp_path: Path, inside: str, outside: str) -> Crossing:
    """A pair of scripts, matched."""
    paths = [write(tmp_path / name, script(text)) for name, text in (("in.pcap", inside), ("out.pcap", outside))]
    return analyze([Point("inside", (paths[0],)), Point("outside", (paths[1],))]).boxes[0].crossing


def causes(r: Replay) -> dict[tuple[str, str | None, str], int]:
    """What differs, by cause."""
    return {(c.kind.value, c.field, c.reason.name): c.count for c in r.causes}


RIGHT = {
    "linux-masquerade": LINUX,
    "linux-masquerade-ipv6": LINUX,
    "linux-icmp-errors": LINUX,
    "linux-port-collisions": LINUX,
    "linux-port-forward": LINUX,
    "linux-tuple-reuse": LINUX,
    "linux-ftp-alg": LINUX,
    "linux-dns-failure": LINUX,
    "linux-netmap": LINUX,
    "linux-hairpin": replace(LINUX, hairpin=Hairpin.ROUTER_SOURCE, router="192.168.1.1"),
    "linux-nat64": replace(LINUX, nat64="2001:db8:64::/96", ttl_step=3),
    "demo": replace(LINUX, port_ranges=(PortRange(40000, 40009),), keeps_any_port=False),
}


@pytest.mark.parametrize("folder", RIGHT)
def test_the_right_model_explains_every_frame(folder: str) -> None:
    """Each bundled pair of a Linux NAT, through the model of its rules."""
    r = replay(crossing(folder), RIGHT[folder])
    assert causes(r) == {}
    assert r.explained == r.frames > 30
    assert r.unjudged * 10 <= r.frames


def test_a_wrong_model_is_told() -> None:
    """Ports that are not kept, a range that is another, times that are too short, an address that is not its own."""
    c = crossing("linux-masquerade")
    r = replay(c, replace(LINUX, port_ranges=(PortRange(1024, 2047),), keeps_any_port=False))
    assert ("changed", "sport", "NONE") in causes(r)
    assert (r.share or 0) < 0.5
    difference = next(d for d in r.differences if d.field == "sport")
    assert difference.expected.endswith("or another that is allowed")
    assert 1024 <= int(difference.expected.split()[0]) <= 2047
    assert difference.frames[0]
    assert difference.frames[1]
    assert ("changed", "src", "NONE") in causes(replay(c, replace(LINUX, addresses=("203.0.113.99",))))
    short = replay(c, replace(LINUX, tcp_idle_s=0.0001, tcp_transitory_idle_s=0.0001, tcp_synack_s=0.0001))
    assert short.explained < short.frames
    assert any(d.kind is Kind.EXTRA for d in short.differences)


def test_collisions_tell_models_apart() -> None:
    """Two hosts with one source port to one server: ports that others never use are no explanation.

    A model with random ports explains ports that are kept: it could have chosen them, every time.
    """
    c = crossing("linux-port-collisions")
    shares = {name: replay(c, PRESETS[name].behavior).share or 0 for name in ("linux-masquerade", "pf", "winnat")}
    assert shares["linux-masquerade"] == 1
    assert max(share for name, share in shares.items() if name != "linux-masquerade") < 0.9


def test_what_never_came_out_is_missing(tmp_path: Path) -> None:
    """A frame that the model lets out and nobody saw, by its number."""
    inside = "A udp one x20 | A udp two x20 | A udp three x20 | B udp four x20 t63 | A udp five x20"
    outside = "N:40000>B udp one x20 t63 | N:40000>B udp three x20 t63 | B>N:40000 udp four x20 | +100 N:40000>B udp five x20 t63"
    r = replay(made(tmp_path, inside, outside), NatBehavior(port_choice=PortChoice.PRESERVE_ELSE_RANDOM))
    assert (r.frames, r.explained) == (5, 4)
    assert [(d.kind, d.frames, d.expected) for d in r.differences] == [
        (Kind.MISSING, ((2,), ()), "203.0.113.7:40000 to 198.51.100.80:80")
    ]


def test_nothing_to_play(tmp_path: Path) -> None:
    """No frame outside, no address: no model, no crash."""
    c = made(tmp_path, "A S 100 | A S 100 | A S 100", "D S 9 | D S 9")
    r = replay(c, LINUX)
    assert (r.frames, r.explained, r.share) == (0, 0, None)
    assert r.notes
    r = replay(c, replace(LINUX, addresses=("203.0.113.7",)))
    assert r.explained <= r.frames


@pytest.mark.parametrize("name", ["pf", "linux-masquerade"])
def test_inside_and_outside_exchanged_where_ip_versions_differ(name: str) -> None:
    """Seen from its outside, a NAT64 forwards IPv4 addresses to IPv6 hosts: no rule of a NAT says that."""
    folder = CAPTURES / "linux-nat64"
    points = [Point("a", (str(folder / "outside.pcap"),)), Point("b", (str(folder / "inside.pcap"),))]
    assert replay(analyze(points).boxes[0].crossing, PRESETS[name].behavior).frames >= 0


def test_a_side_without_conversations(tmp_path: Path) -> None:
    """A fragment whose first one is missing belongs to nothing, and enters all the same."""
    later = bytearray(script("B>N udp x20")[0].data)
    later[20:22] = b"\x00\x10"
    inside = write(tmp_path / "inside.pcap", script("A udp x20"))
    outside = write(tmp_path / "outside.pcap", [Frame(START_NS, bytes(later))])
    points = [Point("inside", (inside,)), Point("outside", (outside,))]
    crossing = analyze(points).boxes[0].crossing
    assert not len(crossing.there.conversations)
    played = replay(crossing, replace(LINUX, addresses=("203.0.113.1",)))
    assert played.explained <= played.frames


def test_who_entered_where() -> None:
    """Every frame of both captures is an entered one, its copy behind the box, or made by the box."""
    c = crossing("linux-hairpin")
    e = entered(c)
    seen = {(int(p), int(r)) for p, r in zip(e.port, e.row, strict=True)}
    left = {(int(p), int(r)) for p, r in zip(e.exit_port, e.exit_row, strict=True) if r >= 0}
    own = {(int(p), int(r)) for p, r in zip(e.made_port, e.made_row, strict=True)}
    assert not seen & left
    assert not (seen | left) & own
    total = sum(int((port.packets.flags & 1).sum()) for port in (c.here, c.there))
    assert len(seen | left | own) == total
    assert (e.traffic.time_ns[1:] >= e.traffic.time_ns[:-1]).all()


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_plays(name: str) -> None:
    """On a pair with ICMP errors, whatever it explains of it."""
    r = replay(crossing("linux-icmp-errors"), PRESETS[name].behavior)
    assert 0 <= r.explained <= r.frames
    assert sum(c.count for c in r.causes) == r.frames - r.explained
    assert all(isinstance(c.reason, Reason) for c in r.causes)


def test_filtering_is_seen_only_where_somebody_tries() -> None:
    """Strict and open filters explain the same where nobody unasked comes."""
    c = crossing("linux-tuple-reuse")
    open_filter = replace(LINUX, filtering=Filtering.ENDPOINT_INDEPENDENT, mapping=Mapping.BEST_EFFORT)
    assert replay(c, open_filter).explained == replay(c, LINUX).explained


@pytest.mark.parametrize(("folder", "dropped"), [("linux-masquerade", 40), ("linux-port-collisions", 25), ("linux-snat-port-range", 60)])
def test_the_inside_capture_begins_later(folder: str, dropped: int, tmp_path: Path) -> None:
    """What came in before it began takes no port from the conversation that it belongs to."""
    late = tmp_path / "late.pcap"
    with (CAPTURES / folder / "inside.pcap").open("rb") as file, late.open("wb") as out:
        reader = dpkt.pcap.Reader(file)
        writer = dpkt.pcap.Writer(out, linktype=reader.datalink())
        for number, (when, frame) in enumerate(reader):
            if number >= dropped:
                writer.writepkt(frame, when)
    outside = str(CAPTURES / folder / "outside.pcap")
    r = analyze([Point("inside", (str(late),)), Point("outside", (outside,))]).boxes[0].replay
    assert r is not None
    assert r.unjudged > 0
    assert (r.explained, causes(r)) == (r.frames, {})


LIVE = "A S 100 | B SA 500 101 t63 | A . 101 501 | A P 101 501 x10", "N:40000>B S 100 t63 | B>N:40000 SA 500 101 | N:40000>B . 101 501 t63"
SENT = "N:40000>B P 101 501 x10 t63"
LOST = {
    "a segment that was sent again": ("+200 A P 101 501 x10 | B . 501 111 t63", f"+201 {SENT} | B>N:40000 . 501 111", "lost"),
    "never again": ("B . 501 111 t63", "B>N:40000 . 501 111", None),
    "after a silence in which a NAT may forget": (
        "A P 101 501 x10 | +9000 A P 111 501 x9 | +90 A P 111 501 x9",
        f"{SENT} | +9092 N:40000>B P 111 501 x9 t63",
        None,
    ),
    "an acknowledgment, and a later one came": (
        "A . 111 502 | A . 111 503",
        f"{SENT} | +2 N:40000>B . 111 503 t63",
        "lost",
    ),
    "an acknowledgment, and one long after came": ("A . 111 502 | +1500 A . 111 503", f"{SENT} | +1502 N:40000>B . 111 503 t63", None),
    "another segment of that place": ("A P 101 501 x11 | B . 501 111 t63", "N:40000>B P 101 501 x11 t63 | B>N:40000 . 501 111", None),
}


@pytest.mark.parametrize("name", LOST)
def test_what_was_lost_between_the_points(name: str, tmp_path: Path) -> None:
    """It is a difference all the same, with a cause of its own: where its session lived, and what replaces it came out."""
    inside, outside, field = LOST[name]
    r = replay(made(tmp_path, f"{LIVE[0]} | {inside}", f"{LIVE[1]} | {outside}"), LINUX)
    (missing,) = causes(r)
    assert missing == ("missing", field, "NONE")
    assert r.explained == r.frames - r.causes[0].count


def test_an_opening_that_came_out_later_is_not_called_lost(tmp_path: Path) -> None:
    """A full table or a rule may have stopped it as well; nor is a datagram, which nobody sends again."""
    inside = "A udp one x9 | A udp two x9 | A udp one x9 | A S 100 | A S 100"
    outside = "N:40000>B udp one x9 t63 | +2 N:40000>B udp one x9 t63 | +2 N:40000>B S 100 t63"
    assert ("missing", "lost", "NONE") not in causes(replay(made(tmp_path, inside, outside), LINUX))
