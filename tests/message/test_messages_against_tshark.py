"""What messages say against tshark's own fields, on the bundled captures and on made ones."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpus_messages import by_tshark, by_us
from made_messages import CLIENT, SERVER, arp, client_hello, dhcp, dns_query, dns_record, dns_response, icmp6, option, read, tcp, udp
from packet_script import START_NS, Frame, write

from pcapnat.flow import observe
from pcapnat.message import EventKind, messages
from pcapnat.terms import Point

needs_tshark = pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")
ROGUE = Path(__file__).with_name("rogue-dhcp.pcap")
"""A client's port of a Linux bridge: busybox' udhcpc asks, two dnsmasq answer (tcpdump in network namespaces made for this project)."""
UNFINISHED = {"host": "tshark waits for the end of a request whose later segments the capture cut, and then names no host"}


@needs_tshark
def test_bundled_captures(captures: list[str]) -> None:
    """Every ARP, neighbor discovery and DHCP message, every DNS query and answer with its code, hosts by stream; nothing beyond."""
    counted: dict[str, int] = {}
    for path in [*captures, str(ROGUE)]:
        port, _ = observe(Point("here", (path,)), 64)
        theirs, mine = by_tshark(Path(path))[0], by_us(port, messages(port.picked))
        for field in {*theirs, *mine}:
            assert (path, field, theirs[field] - mine[field]) == (path, field, set())
            if field not in UNFINISHED:
                assert (path, field, mine[field] - theirs[field]) == (path, field, set())
            counted[field] = counted.get(field, 0) + len(theirs[field])
    assert {field for field, n in counted.items() if n} >= {"arp", "dns", "names", "host", "ndp", "dhcp"}
    assert counted["arp"] > 100
    assert counted["dns"] > 100


@needs_tshark
def test_made_messages(tmp_path: Path) -> None:
    """What no bundled capture holds: server names, tagged and odd ones."""
    hello, query = client_hello("sni.example"), dns_query("made.example")
    solicit = b"\x87\0\0\0" + bytes(4) + b"\x20\1\x0d\xb8" + bytes(11) + b"\2"
    made = [
        tcp(hello, 50000, 8443), tcp(hello[:300], 50001, 443), tcp(hello[300:], 50001, 443, seq=301),
        arp(1, "10.0.0.1", "10.0.0.1"), arp(2, "10.0.0.1", "10.0.0.2"),
        udp(dhcp(1, option(12, b"host")), 68, 67, "0.0.0.0", "255.255.255.255"), udp(dhcp(6, op=2), 67, 68, SERVER, CLIENT),
        udp(query, 50002, 53), udp(dns_response(query, [dns_record(b"\xc0\x0c", 1, b"\1\2\3\4")], 0), 53, 50002, SERVER, CLIENT),
        icmp6(solicit, "::"), tcp(b"GET / HTTP/1.1\r\nHost: made.example\r\n\r\n", 50003, 80),
    ]  # fmt: skip
    path = write(tmp_path / "made.pcap", [Frame(START_NS + n * 1_000_000, frame) for n, frame in enumerate(made)])
    port, said = read(made)
    theirs, mine = by_tshark(Path(path))[0], by_us(port, said)
    assert {field: values for field, values in mine.items() if values} == {field: values for field, values in theirs.items() if values}
    assert mine["sni"] == {(0, "sni.example"), (1, "sni.example")}


def test_two_dhcp_servers() -> None:
    """What a diagnosis of a rogue server needs: each offer's server, by transaction, and the routers they give."""
    port, _ = observe(Point("here", (str(ROGUE),)), 64)
    said = messages(port.picked)
    offers = np.flatnonzero(said.events.kind == EventKind.DHCP_OFFER).tolist()
    by_transaction: dict[Any, set[Any]] = {}
    for k in offers:
        by_transaction.setdefault(said.details[k]["transaction"], set()).add(said.details[k]["server"])
    assert by_transaction["87619e12"] == {"10.9.8.2", "192.168.66.2"}
    assert {said.details[k]["routers"][0] for k in offers} == {"10.9.8.1", "192.168.66.1"}  # type: ignore[index]
