"""Which interface of a capture a user means: numbers, names, words; and what is said when that is not clear."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from made_etl import PKTMON, TICKS, buffer, component, event, head, monitored
from made_files import interface, section
from test_etl import FRAME

from pcapnat.flow import observe
from pcapnat.terms import CaptureError, Point
from pcapnat.wire import Capture
from pcapnat.wire.choose import Chosen, choose

PLACES = [  # name, description, kind, link type
    ("component 4: vmswitch.sys, web 1", "web 1", "vNIC", 1),
    ("component 40: nwifi.sys, Native WiFi (802.11)", "Native WiFi", "filter", 105),
    ("component 40: nwifi.sys, Native WiFi", "Native WiFi", "filter", 1),
    ("component 41: tcpip.sys, TCP/IPv4 - L3/L4 (IP)", "TCP/IPv4 - L3/L4", "IP", 101),
    ("vNIC:External:Ext:7:0", None, "uplink", 1),
    ("lan", None, None, 1),
    ("LAN", None, None, 1),
    ("9", None, None, 1),
    (None, None, None, 1),
]


@pytest.fixture
def capture(tmp_path: Path) -> Any:
    """A capture with PLACES for interfaces."""
    path = tmp_path / "x.pcapng"
    path.write_bytes(section("<") + interface("<"))
    made = Capture(str(path))
    for name, description, kind, link in PLACES:
        one = made.add_interface(link, 0, name)
        one.description, one.kind = description, kind
    made.close()
    return made


@pytest.mark.parametrize(("wanted", "interface", "edge"), [
    ("0", 0, None), ("8", 8, None), ("9", 7, None), ("lan", 5, None), ("LAN", 6, None), ("component 4", 0, None), ("Component  4", 0, None),
    ("component 41", 3, None), ("component 40 802.11", 1, None), ("component 40 ethernet", 2, None), ("uplink", 4, None),
    ("web", 0, None), ("WEB 1", 0, None), ("tcp/ipv4", 3, None), ("vnic vmswitch", 0, None), ("external", 4, None),
    ("nwifi ethernet", 2, None), ("component 4 edge 2", 0, 2), ("0 edge 1", 0, 1), ("lan edge 7", 5, 7), ("web edge 65535", 0, 65535),
    ("vNIC:External:Ext:7:0", 4, None),
])
def test_what_is_meant(capture: Any, wanted: str, interface: int, edge: int | None) -> None:
    """Numbers before names, whole names before words; a component's number is the whole number."""
    assert choose(capture, wanted) == Chosen(interface, edge)


@pytest.mark.parametrize("wanted", ["component 400", "component 0", "dmz", "99", "", " ", "edge 1", "web lan", "component", "-1", "\u0663",
                                    "component 99999999999999999999", "component 4 edge 123456", "\\", ".*", "[a-z]"])
def test_what_is_not_there(capture: Any, wanted: str) -> None:
    """Nothing fits, and no word is a pattern."""
    if wanted == "component":
        with pytest.raises(CaptureError):
            choose(capture, wanted)
    else:
        assert choose(capture, wanted) is None


@pytest.mark.parametrize(("wanted", "listed"), [
    ("component 40", ["1 (component 40: nwifi.sys, Native WiFi (802.11))", "2 (component 40: nwifi.sys, Native WiFi)"]),
    ("Lan", ["5 (lan)", "6 (LAN)"]),
    ("vnic", ["0 (component 4: vmswitch.sys, web 1)", "4 (vNIC:External:Ext:7:0)"]),
])
def test_what_can_be_several(capture: Any, wanted: str, listed: list[str]) -> None:
    """One line that lists the candidates."""
    with pytest.raises(CaptureError) as error:
        choose(capture, wanted)
    assert f"{wanted!r} can be several interfaces: {', '.join(listed)}; give a number or more words" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_long_list_is_cut(capture: Any) -> None:
    for i in range(20):
        capture.add_interface(1, 0, f"port {i}")
    with pytest.raises(CaptureError, match=r"16 \(port 7\) and 12 more; give a number"):
        choose(capture, "port")


def test_what_was_chosen_before(capture: Any) -> None:
    """An interface that comes later and fits as well, or better, makes a choice unclear that frames were taken by."""
    assert choose(capture, "web", Chosen(0)) == Chosen(0)
    with pytest.raises(CaptureError, match=r"can be several interfaces: 3 .*, 0 \("):
        choose(capture, "web", Chosen(3))
    assert choose(capture, "0", Chosen(0)) == Chosen(0)


def trace(*events: bytes) -> bytes:
    """A trace log of these events, and of what three components are called."""
    named = ((7, "nic.sys", "Physical", 2), (70, "nic.sys", "Other", 2), (8, "lwf.sys", "Filter of 7", 3))
    ends = b"".join(event(PKTMON, 20, component(n, name, says, kind), TICKS + 9000) for n, name, says, kind in named)
    return head() + buffer(b"".join(events) + ends, size=1 << 16)


def seen(at: int, number: int, edge: int, **more: int) -> bytes:
    """A packet at an edge of a component."""
    return event(PKTMON, 160, monitored(FRAME, component=number, edge=edge, group=at, **more), TICKS + at, keyword=16)


def test_points_of_a_trace(tmp_path: Path) -> None:
    """A component, one of its edges, its facts with it; both edges are said to repeat packets; all of them as well."""
    path = tmp_path / "t.etl"
    path.write_bytes(trace(*(seen(10 * i + n, *place) for i in range(5) for n, place in enumerate(((7, 1), (8, 1), (8, 2), (70, 1))))))

    def port(interface: str | None) -> Any:
        return observe(Point("p", (str(path),), interface), 64)[0]

    assert (port("component 7").conversation >= 0).tolist() == [True, False, False, False] * 5
    assert port("component 7").facts.component.tolist() == [7] * 5
    assert port("component 7").problems == [f"{path}: @component 7 left out 15 of 20 frames"]
    both, one = port("component 8"), port("component 8 edge 2")
    assert both.facts.edge.tolist() == [1, 2] * 5
    assert both.problems == [f"{path}: @component 8 left out 10 of 20 frames",
                             f"{path}: component 8 shows packets at 2 edges, once each; 'component 8 edge 1' takes one"]
    assert one.facts.carrier.tolist() == list(range(2, 20, 4))
    assert (one.conversation >= 0).tolist() == [False, False, True, False] * 5
    assert one.problems == [f"{path}: @component 8 edge 2 left out 15 of 20 frames"]
    whole = port(None)
    assert len(whole.facts) == 20
    assert whole.problems == [f"{path}: 3 interfaces of Windows taken as one point: a packet counts at each of them; `pcapnat info` lists "
                              f"them, {path}@0 takes one"]
    assert (port("component 8 edge 3").conversation < 0).all()


def test_a_choice_that_later_frames_make_unclear(tmp_path: Path) -> None:
    """Interfaces come with their first packets: when a second one fits, frames of the first were taken already."""
    path = tmp_path / "t.etl"
    path.write_bytes(trace(seen(1, 7, 1), seen(2, 70, 1)))
    with pytest.raises(CaptureError, match=r"'nic' can be several interfaces: 0 \(component 7: nic.sys, Physical\), 1 \(component 70"):
        observe(Point("p", (str(path),), "nic"), 64)
