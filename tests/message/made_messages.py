"""Frames with messages in them, made by dpkt or by hand, and what is read of them."""

from __future__ import annotations

import ssl
import struct
import tempfile
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path

import dpkt
from packet_script import START_NS, Frame, ethernet, ip, write

from pcapnat.flow import Port, observe
from pcapnat.message import Messages, messages
from pcapnat.terms import Point

CLIENT, SERVER = "192.168.1.10", "198.51.100.80"
CLIENT6, SERVER6 = "2001:db8::10", "2001:db8::80"
MAC_A, MAC_B, ALL = b"\x02\0\0\0\0\x0a", b"\x02\0\0\0\0\x0b", b"\xff" * 6


def udp(payload: bytes, sport: int, dport: int, src: str = CLIENT, dst: str = SERVER) -> bytes:
    """A datagram in an Ethernet frame."""
    return ethernet(ip(src, dst, 17, dpkt.udp.UDP(sport=sport, dport=dport, ulen=8 + len(payload), data=payload)))


def tcp(payload: bytes, sport: int, dport: int, seq: int = 1, src: str = CLIENT, dst: str = SERVER) -> bytes:
    """A segment with data in an Ethernet frame."""
    return ethernet(ip(src, dst, 6, dpkt.tcp.TCP(sport=sport, dport=dport, seq=seq, ack=1, flags=0x18, win=9000, data=payload)))


def icmp6(body: bytes, src: str, dst: str = "ff02::1") -> bytes:
    """An ICMPv6 message (type, code, checksum 0, rest) in an Ethernet frame."""
    return ethernet(ip(src, dst, 58, body, ttl=255))


def arp(operation: int, sender: str, target: str, sender_hw: bytes = MAC_A, target_hw: bytes = bytes(6), kind: int = 0x0806) -> bytes:
    """ARP or RARP in an Ethernet frame."""
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation)
    body += sender_hw + ip_address(sender).packed + target_hw + ip_address(target).packed
    return ALL + sender_hw + struct.pack("!H", kind) + body + bytes(18)


def llc(body: bytes, target: bytes, head: bytes, source: bytes = MAC_B) -> bytes:
    """An 802.3 frame with LLC."""
    return target + source + struct.pack("!H", len(head) + len(body)) + head + body


def tagged(frame: bytes, vlan: int) -> bytes:
    """A frame with an 802.1Q tag."""
    return frame[:12] + struct.pack("!HH", 0x8100, vlan) + frame[12:]


def read(frames: Iterable[bytes | Frame], snaplen: int = 262144, link: int = 1) -> tuple[Port, Messages]:
    """What is read of some frames, a millisecond apart."""
    made = [f if isinstance(f, Frame) else Frame(START_NS + n * 1_000_000, f) for n, f in enumerate(frames)]
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "made.pcap", made, snaplen, link)
        port, _ = observe(Point("here", (path,)), 64)
    return port, messages(port.picked)


def client_hello(name: str | None = "www.example.com", alpn: tuple[str, ...] = ("h2", "http/1.1")) -> bytes:
    """A real greeting, by OpenSSL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    sent = ssl.MemoryBIO()
    connection = context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname=name)
    try:
        connection.do_handshake()
    except ssl.SSLWantReadError:
        return sent.read()
    raise AssertionError


def dns_query(name: str, ident: int = 7, qtype: int = 1) -> bytes:
    """A query by dpkt."""
    return bytes(dpkt.dns.DNS(id=ident, qd=[dpkt.dns.DNS.Q(name=name, type=qtype)]))


def labels(name: str) -> bytes:
    """A name without pointers."""
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".") if part) + b"\0"


def dns_record(owner: bytes, kind: int, data: bytes, ttl: int = 300) -> bytes:
    """A resource record; owner: a name or a pointer as bytes."""
    return owner + struct.pack("!HHIH", kind, 1, ttl, len(data)) + data


def dns_response(query: bytes, records: list[bytes], code: int = 0, extra: list[bytes] | None = None) -> bytes:
    """The response to a query with one question, with answers and additional records."""
    at = 12
    while query[at]:
        at += 1 + query[at]
    head = struct.pack("!HHHHHH", int.from_bytes(query[:2], "big"), 0x8180 | code, 1, len(records), 0, len(extra or []))
    return head + query[12 : at + 5] + b"".join(records) + b"".join(extra or [])


DHCP_HEAD = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s4s")


def dhcp(kind: int, options: bytes = b"", *, op: int = 1, xid: int = 0x1234, your: str = "0.0.0.0", own: str = "0.0.0.0",
         relay: str = "0.0.0.0", client: bytes = MAC_A) -> bytes:  # fmt: skip
    """A DHCP message."""
    addresses = [ip_address(a).packed for a in (own, your, "0.0.0.0", relay)]
    head = DHCP_HEAD.pack(op, 1, 6, 0, xid, 0, 0, *addresses, client, b"", b"", b"\x63\x82\x53\x63")
    return head + bytes([53, 1, kind]) + options + b"\xff"


def option(code: int, data: bytes) -> bytes:
    """A DHCP option."""
    return bytes([code, len(data)]) + data
