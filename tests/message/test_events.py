"""Link events: what ARP, neighbor discovery, DHCP, DHCPv6, spanning tree, LLDP and CDP say, one table for all."""

from __future__ import annotations

import struct
from ipaddress import ip_address
from typing import Any

import dpkt
import pytest
from made_messages import ALL, MAC_A, MAC_B, arp, dhcp, icmp6, llc, option, read, tagged, udp

from pcapnat.address import parse, texts
from pcapnat.message import EventKind, Messages, Topic, messages
from pcapnat.message.bridge import cdp, lldp, stp
from pcapnat.message.dhcp import dhcp as read_dhcp
from pcapnat.message.dhcp import dhcp6
from pcapnat.message.event import KINDS
from pcapnat.message.messages import MOST_READ

HW_A, HW_B = int.from_bytes(MAC_A, "big"), int.from_bytes(MAC_B, "big")
LINK_LOCAL = "fe80::1"


def rows(said: Messages) -> list[tuple[str, int, int, str, str]]:
    """(kind, sender's hardware, target's, sender, target) of every event."""
    e = said.events
    labels = [EventKind(kind).label for kind in e.kind.tolist()]
    return list(zip(labels, e.sender_hw.tolist(), e.target_hw.tolist(), texts(e.sender), texts(e.target), strict=True))


ARPS = (
    (arp(1, "10.0.0.1", "10.0.0.2"), ("arp request", HW_A, 0, "10.0.0.1", "10.0.0.2")),
    (arp(2, "10.0.0.2", "10.0.0.1", MAC_B, MAC_A), ("arp reply", HW_B, HW_A, "10.0.0.2", "10.0.0.1")),
    (arp(1, "10.0.0.1", "10.0.0.1"), ("arp gratuitous", HW_A, 0, "10.0.0.1", "10.0.0.1")),
    (arp(2, "10.0.0.1", "10.0.0.1", MAC_A, ALL), ("arp gratuitous", HW_A, (1 << 48) - 1, "10.0.0.1", "10.0.0.1")),
    (arp(1, "0.0.0.0", "10.0.0.9"), ("arp probe", HW_A, 0, "0.0.0.0", "10.0.0.9")),
    (arp(3, "0.0.0.0", "0.0.0.0", MAC_A, MAC_A, 0x8035), ("rarp request", HW_A, HW_A, "0.0.0.0", "0.0.0.0")),
    (arp(4, "10.0.0.1", "10.0.0.7", MAC_B, MAC_A, 0x8035), ("rarp reply", HW_B, HW_A, "10.0.0.1", "10.0.0.7")),
    (arp(9, "10.0.0.1", "10.0.0.7"), ("arp other", HW_A, 0, "10.0.0.1", "10.0.0.7")),
)


def test_arp(mode: str) -> None:
    _, said = read([frame for frame, _ in ARPS])
    assert rows(said) == [row for _, row in ARPS]
    assert said.events.row.tolist() == list(range(len(ARPS)))
    assert said.events.eth_src[0] == HW_A
    assert said.events.eth_dst[0] == (1 << 48) - 1
    assert set(said.events.vlan.tolist()) == {-1}


def test_arp_with_a_tag() -> None:
    _, said = read([tagged(arp(1, "10.0.0.1", "10.0.0.2"), 42)])
    assert said.events.vlan.tolist() == [42]


@pytest.mark.parametrize(
    ("hardware", "length", "to_target"), [(7, 1, 1), (32, 20, 20), (24, 16, 0), (1, 0, 0)], ids=["arcnet", "infiniband", "firewire", "none"]
)
def test_arp_with_other_hardware_addresses(hardware: int, length: int, to_target: int, mode: str) -> None:
    """RFC 1201, RFC 4391, RFC 2734: hardware addresses that are no MAC addresses are 0, the rest is read."""
    ends = [ip_address(text).packed for text in ("10.0.0.1", "10.0.0.2")]
    body = struct.pack("!HHBBH", hardware, 0x0800, length, 4, 2) + b"\7" * length + ends[0] + b"\x09" * to_target + ends[1]
    head = arp(1, "10.0.0.1", "10.0.0.2")[:14]
    _, said = read([head + body, head + body[:-1], ARPS[1][0]])
    assert rows(said) == [("arp reply", 0, 0, "10.0.0.1", "10.0.0.2"), ARPS[1][1]]
    assert said.malformed == {Topic.ARP: 1}


@pytest.mark.parametrize(
    ("link", "head"),
    [(7, b"\1\2\xd5\0\0\1"),
     (7, b"\1\2\xd5\xff\xff\xff\xff\0\0\1"), (7, b"\1\2\xf1"), (129, b"\1\2\0\0\xd5\0\0\1"), (129, b"\1\2\0\0\xf1")],
)
def test_arp_on_arcnet(link: int, head: bytes, mode: str) -> None:
    """RFC 1201 puts a fragment's number before it, as before IP; RFC 1051 does not."""
    _, said = read([head + struct.pack("!HHBBHB4sB4s", 7, 0x0800, 1, 4, 1, 1, bytes([10, 0, 0, 1]), 0, bytes([10, 0, 0, 2]))], link=link)
    assert rows(said) == [("arp request", 0, 0, "10.0.0.1", "10.0.0.2")]


def test_arp_that_makes_no_sense_is_counted() -> None:
    whole = arp(1, "10.0.0.1", "10.0.0.2")
    heads = b"\0\1\x08\0\x06\5", b"\0\1\x86\xdd\x06\4", b"\0\x13\x08\0\x06\4", b"\0\1\x08\0\xff\4"
    _, said = read([*(whole[:14] + head + whole[20:] for head in heads), whole[:30], whole])
    assert len(said.events) == 1
    assert said.malformed == {Topic.ARP: 5}
    _, said = read([whole], snaplen=30)
    assert (said.malformed, said.cut) == ({}, {Topic.ARP: 1})


def lla(kind: int, address: bytes = MAC_A) -> bytes:
    """A link-layer address option."""
    return bytes([kind, 1]) + address


def neighbor(kind: int, target: str, options: bytes = b"", flags: int = 0) -> bytes:
    """A solicitation (135) or an advertisement (136)."""
    return struct.pack("!BBHI", kind, 0, 0, flags) + ip_address(target).packed + options


def test_neighbor_discovery(mode: str) -> None:
    solicited = 0x60000000
    frames = (
        (icmp6(neighbor(135, "2001:db8::2", lla(1)), "2001:db8::1"), ("neighbor solicitation", HW_A, 0, "2001:db8::1", "2001:db8::2")),
        (icmp6(neighbor(136, "2001:db8::2", lla(2, MAC_B), solicited), LINK_LOCAL, "2001:db8::1"),
         ("neighbor advertisement", HW_B, 0, "2001:db8::2", "2001:db8::1")),
        (icmp6(neighbor(136, "2001:db8::2", b"\x0e\1" + bytes(6) + lla(2), 0x20000000), LINK_LOCAL),
         ("unsolicited neighbor advertisement", HW_A, 0, "2001:db8::2", "ff02::1")),
        (icmp6(neighbor(135, "fe80::9"), "::"), ("duplicate address detection", 0, 0, "::", "fe80::9")),
        (icmp6(struct.pack("!BBHI", 133, 0, 0, 0) + lla(1), LINK_LOCAL), ("router solicitation", HW_A, 0, LINK_LOCAL, "::")),
        (icmp6(neighbor(136, "2001:db8::2", b"\2\0" + bytes(6), solicited), LINK_LOCAL),
         ("neighbor advertisement", 0, 0, "2001:db8::2", "ff02::1")),
    )  # fmt: skip
    _, said = read([frame for frame, _ in frames])
    assert rows(said) == [row for _, row in frames]
    assert said.malformed == {}


def test_router_advertisement() -> None:
    prefix = b"\3\4\x40\xc0" + struct.pack("!III", 86400, 14400, 0) + ip_address("2001:db8:1::").packed
    mtu = b"\5\1\0\0" + struct.pack("!I", 1480)
    servers = b"\x19\5\0\0" + struct.pack("!I", 1800) + ip_address("2001:db8::53").packed + ip_address("2001:db8::54").packed
    route = b"\x18\2\x40\0" + struct.pack("!I", 1800) + ip_address("2001:db8:9::").packed[:8]
    body = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0x80, 1800, 0, 0) + lla(1) + prefix + mtu + servers + route
    _, said = read([icmp6(body, LINK_LOCAL)])
    assert rows(said) == [("router advertisement", HW_A, 0, LINK_LOCAL, "::")]
    assert said.details[0] == {
        "hop_limit": 64, "lifetime_s": 1800, "managed": 1, "mtu": 1480, "prefix_flags": "on-link, autonomous", "prefix_lifetime_s": 86400,
        "prefixes": ["2001:db8:1::/64"], "routes": ["2001:db8:9::/64"], "dns_servers": ["2001:db8::53", "2001:db8::54"],
    }  # fmt: skip


def test_redirect() -> None:
    body = struct.pack("!BBHI", 137, 0, 0, 0) + ip_address("fe80::2").packed + ip_address("2001:db8::80").packed + lla(2, MAC_B)
    _, said = read([icmp6(body, LINK_LOCAL)])
    assert rows(said) == [("redirect", 0, HW_B, LINK_LOCAL, "fe80::2")]
    assert said.details[0] == {"destination": "2001:db8::80"}


OFFERED = (
    option(54, ip_address("192.168.1.1").packed) + option(51, struct.pack("!I", 3600)) + option(1, ip_address("255.255.255.0").packed)
    + option(3, ip_address("192.168.1.1").packed) + option(6, ip_address("9.9.9.9").packed + ip_address("1.1.1.1").packed)
)  # fmt: skip


def test_dhcp_transaction() -> None:
    discover = dhcp(1, option(12, b"laptop") + option(60, b"MSFT 5.0") + option(50, ip_address("192.168.1.50").packed))
    ack = dhcp(5, OFFERED, op=2, your="192.168.1.50", relay="10.0.0.1")
    frames = [udp(discover, 68, 67, "0.0.0.0", "255.255.255.255"), udp(ack, 67, 68, "192.168.1.1", "255.255.255.255")]
    _, said = read(frames)
    assert rows(said) == [("dhcp discover", HW_A, 0, "::", "192.168.1.50"), ("dhcp ack", 0, HW_A, "192.168.1.1", "192.168.1.50")]
    asked, given = said.details[0], said.details[1]
    assert asked["transaction"] == given["transaction"] == "00001234"
    assert asked["client"] == given["client"] == "02:00:00:00:00:0a"
    assert (asked["host_name"], asked["vendor_class"], asked["requested_address"]) == ("laptop", "MSFT 5.0", "192.168.1.50")
    assert {name: given[name] for name in ("server", "lease_s", "subnet_mask", "routers", "dns_servers", "relay", "your_address")} == {
        "server": "192.168.1.1", "lease_s": 3600, "subnet_mask": "255.255.255.0", "routers": ["192.168.1.1"],
        "dns_servers": ["9.9.9.9", "1.1.1.1"], "relay": "10.0.0.1", "your_address": "192.168.1.50",
    }  # fmt: skip
    assert (said.texts, said.names.source.tolist(), said.names.name.tolist()) == (["laptop"], [5], [0]), "a host's own name"
    assert int(said.names.until_ns[0] - said.names.from_ns[0]) == 3600 * 10**9


@pytest.mark.parametrize("kind", range(1, 9))
def test_dhcp_types(kind: int) -> None:
    names = ["discover", "offer", "request", "decline", "ack", "nak", "release", "inform"]
    assert EventKind(read_dhcp(dhcp(kind)).kind).label == f"dhcp {names[kind - 1]}"


def test_dhcp_against_dpkt() -> None:
    message = dhcp(5, OFFERED + option(12, b"host"), op=2, your="192.168.1.50")
    theirs, ours = dpkt.dhcp.DHCP(message), read_dhcp(message)
    options: dict[int, bytes] = dict(theirs.opts)
    assert ours.target == parse(str(ip_address(theirs.yiaddr)))
    assert ours.target_hw == int.from_bytes(theirs.chaddr, "big")
    assert ours.details["transaction"] == f"{theirs.xid:08x}"
    assert ours.details["server"] == str(ip_address(options[54]))
    assert ours.details["routers"] == [str(ip_address(options[3]))]
    assert ours.kind == 20 + options[53][0]


def test_dhcp_options_in_parts_and_in_the_boot_fields() -> None:
    message = bytearray(dhcp(1, option(12, b"lap") + option(12, b"top") + option(52, b"\3")))
    message[108:118] = option(15, b"example") + b"\xff"
    message[44:56] = option(60, b"some class")
    details = read_dhcp(bytes(message)).details
    assert (details["host_name"], details["domain"], details["vendor_class"]) == ("laptop", "example", "some class")


def test_dhcp_of_a_new_type_or_without_one() -> None:
    assert read_dhcp(dhcp(10)).details["type"] == 10
    assert read_dhcp(dhcp(10)).kind == read_dhcp(dhcp(0)).kind == EventKind.DHCP_OTHER
    with pytest.raises(ValueError, match="cookie"):
        read_dhcp(bytes(236).replace(b"\0", b"\1", 1) + bytes(20))


def options6(*parts: tuple[int, bytes]) -> bytes:
    """DHCPv6 options."""
    return b"".join(struct.pack("!HH", code, len(body)) + body for code, body in parts)


def test_dhcp6() -> None:
    address = ip_address("2001:db8::77").packed
    leased = bytes(12) + options6((5, address + struct.pack("!II", 3600, 7200)))
    server = ip_address("2001:db8::53").packed
    client = options6((1, b"\0\3\0\1" + MAC_A), (2, b"\0\2server"), (3, leased), (23, server), (39, b"\0\4host\0"))
    event = dhcp6(b"\7\1\2\3" + client)
    assert (event.kind, event.target, event.target_hw, event.sender_hw) == (EventKind.DHCPV6_REPLY, parse("2001:db8::77"), HW_A, 0)
    assert event.details == {
        "transaction": "010203", "client_id": "00030001" + MAC_A.hex(), "server_id": b"\0\2server".hex(), "address": "2001:db8::77",
        "lease_s": 7200, "dns_servers": ["2001:db8::53"], "client_name": "host",
    }  # fmt: skip
    prefix = options6((26, struct.pack("!IIB", 1, 2, 56) + ip_address("2001:db8::").packed))
    delegated = dhcp6(b"\3\0\0\1" + options6((25, bytes(12) + prefix)))
    assert delegated.details["prefix"] == "2001:db8::/56"
    head = ip_address("2001:db8::1").packed + ip_address("fe80::1").packed
    relayed = b"\x0c\0" + head + options6((9, b"\x0c\1" + head + options6((9, b"\1\1\2\3" + client))))
    event = dhcp6(relayed)
    assert event.kind == EventKind.DHCPV6_RELAY_FORWARD
    assert (event.details["relayed"], event.details["link_address"], event.details["peer_address"]) == (1, "2001:db8::1", "fe80::1")
    assert event.sender_hw == HW_A


def bpdu(version: int = 0, kind: int = 0, flags: int = 0, tail: bytes = b"") -> bytes:
    """A bridge protocol data unit by dpkt."""
    root, bridge = b"\x80\1" + MAC_A, b"\x90\0" + MAC_B
    unit = dpkt.stp.STP(v=version, type=kind, flags=flags, root_id=root, root_path=4, bridge_id=bridge, port_id=0x8002)
    unit.age, unit.max_age, unit.hello, unit.fd = 1, 20, 2, 15
    return bytes(unit) + tail


GROUP, PVST = b"\1\x80\xc2\0\0\0", b"\1\0\x0c\xcc\xcc\xcd"
IEEE, CISCO = b"\x42\x42\3", b"\xaa\xaa\3\0\0\x0c\1\x0b"
MST_TAIL = b"\0\0\x40\0" + b"region one".ljust(32, b"\0") + bytes(31)
TREES = (
    (llc(bpdu(flags=1), GROUP, IEEE), "stp configuration", {"flags": ["topology change"]}),
    (llc(b"\0\0\0\x80" + bytes(4), GROUP, IEEE), "stp topology change", {"type": "topology change"}),
    (llc(bpdu(2, 2, 0x3C, b"\0"), GROUP, IEEE), "rstp", {"role": "designated", "flags": ["learning", "forwarding"]}),
    (llc(bpdu(3, 2, 0x7C, MST_TAIL), GROUP, IEEE), "mstp", {"region": "region one"}),
    (llc(bpdu(tail=b"\0\0\0\0\2\0\x14"), PVST, CISCO), "pvst", {"vlan": 20}),
    (llc(bpdu(2, 2, 0x3C, b"\0\0\0\0\2\0\x1e"), PVST, CISCO), "pvst", {"vlan": 30, "role": "designated"}),
    (llc(b"\0\0\0\x80\0\0\0\2\0\x14", PVST, CISCO), "pvst", {"type": "topology change"}),
)


def test_spanning_tree() -> None:
    _, said = read([frame for frame, _, _ in TREES])
    assert [EventKind(k).label for k in said.events.kind.tolist()] == [kind for _, kind, _ in TREES]
    for n, (_, _, expected) in enumerate(TREES):
        assert {name: said.details[n].get(name) for name in expected} == expected
    first = said.details[0]
    assert (first["root"], first["bridge"]) == ("32768 / 1 / 02:00:00:00:00:0a", "36864 / 0 / 02:00:00:00:00:0b")
    assert [first[name] for name in ("root_cost", "port", "age_s", "max_age_s", "hello_s", "forward_delay_s")] == [4, "8002", 1, 20, 2, 15]
    assert (int(said.events.sender_hw[0]), int(said.events.target_hw[0])) == (HW_B, HW_A)
    with pytest.raises(ValueError, match="configuration"):
        stp(bpdu()[:30], 0)


def tlv(kind: int, body: bytes) -> bytes:
    """A part of an LLDP message."""
    return struct.pack("!H", kind << 9 | len(body)) + body


def test_lldp() -> None:
    body = (
        tlv(1, b"\4" + MAC_B) + tlv(2, b"\5Gi0/1") + tlv(3, b"\0\x78") + tlv(4, b"uplink") + tlv(5, b"switch1") + tlv(6, b"a switch\0")
        + tlv(8, b"\5\1\x0a\0\0\1\2\0\0\0\1\0") + tlv(127, b"\0\x80\xc2\1\0\x63") + tlv(0, b"")
    )  # fmt: skip
    _, said = read([b"\1\x80\xc2\0\0\x0e" + MAC_B + b"\x88\xcc" + body])
    assert rows(said) == [("lldp", HW_B, 0, "10.0.0.1", "::")]
    assert said.details[0] == {
        "chassis": MAC_B.hex(":"), "port": "Gi0/1", "lifetime_s": 120, "port_description": "uplink", "system": "switch1",
        "system_description": "a switch", "vlan": 99,
    }  # fmt: skip
    assert lldp(tlv(1, b"\5\1\x0a\0\0\1")).details["chassis"] == "10.0.0.1"
    with pytest.raises(ValueError, match="chassis"):
        lldp(tlv(5, b"x"))


def test_cdp_and_dpkt() -> None:
    addresses = dpkt.cdp.CDP.TLV_Addresses(data=dpkt.cdp.CDP.Address(data=b"\x0a\0\0\1"))
    texts = [dpkt.cdp.CDP.TLV(type=kind, data=data) for kind, data in ((1, b"router"), (3, b"Fa0/1"), (6, b"C3745"), (10, b"\0\x07"))]
    message = bytes(dpkt.cdp.CDP(data=b"".join(bytes(t) for t in [*texts, addresses])))
    _, said = read([llc(message, b"\1\0\x0c\xcc\xcc\xcc", b"\xaa\xaa\3\0\0\x0c\x20\0")])
    assert rows(said) == [("cdp", 0, 0, "10.0.0.1", "::")]
    assert said.details[0] == {"system": "router", "port": "Fa0/1", "platform": "C3745", "vlan": 7}
    assert len(dpkt.cdp.CDP(message).tlvs) == 5
    for link, head in ((104, b"\x8f\0\x20\0"), (205, b"\1\x8f\0\x20\0"), (1, ALL + MAC_A + b"\x20\0")):  # Cisco's HDLC, and no CDP
        _, said = read([head + message], link=link)
        assert rows(said) == [("cdp", 0, 0, "10.0.0.1", "::")] * (link > 1)
    with pytest.raises(ValueError, match="description"):
        cdp(message[:6])


def test_events_of_all_kinds_stand_in_file_order() -> None:
    frames = [udp(dhcp(1), 68, 67), ARPS[0][0], TREES[0][0], icmp6(neighbor(135, "fe80::9"), "::"), ARPS[1][0], udp(dhcp(2, op=2), 67, 68)]
    _, said = read(frames)
    assert said.events.row.tolist() == list(range(6))
    assert sorted(said.details) == [0, 2, 5]
    assert said.details[5]["transaction"] == "00001234"


def test_an_arp_storm_is_read_at_once() -> None:
    port, _ = read([ARPS[0][0]] * 3)
    picked = port.picked
    many = picked.excerpts.take([0, 1, 2] * 10_000)
    picked.excerpts = many
    assert len(messages(picked).events) == 30_000


def test_every_kind_has_a_label() -> None:
    labels = [kind.label for kind in EventKind]
    assert len(set(labels)) == len(labels) == len(KINDS)
    assert all(label.islower() or "dhcpv6" in label for label in labels)


@pytest.mark.parametrize("topic", [Topic.STP, Topic.DHCP])
def test_what_is_said_beyond_a_bound_is_counted(topic: Topic, monkeypatch: pytest.MonkeyPatch) -> None:
    frame: Any = {Topic.STP: TREES[0][0], Topic.DHCP: udp(dhcp(1), 68, 67)}[topic]
    monkeypatch.setitem(MOST_READ, topic, 2)
    _, said = read([frame] * 5)
    assert (len(said.events), said.unread) == (2, {topic: 3})
