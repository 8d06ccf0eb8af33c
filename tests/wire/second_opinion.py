"""What tshark says about a capture, in the words of our columns, and where it and we differ.

A field may have several values in a frame: tunnels and ICMP errors hold inner headers. Which value belongs to which
header follows from `frame.protocols`: a field of TCP counts only if TCP directly follows the outer IP header.
"""
from __future__ import annotations

import subprocess
from ipaddress import IPv6Address
from types import SimpleNamespace
from typing import Any

from pcapnat.wire.packets import Flag, Packets, Quoted

LINK_NAMES = {"eth", "ethertype", "vlan", "ieee8021ad", "sll", "raw", "null", "loop", "mpls", "pppoes", "ppp", "llc"}
TRANSPORTS = {"tcp": Flag.TCP, "udp": Flag.UDP, "icmp": Flag.ICMP, "icmpv6": Flag.ICMP}
FRAME = ("frame.number", "frame.time_epoch", "frame.len", "frame.cap_len", "frame.protocols")
ETHERNET = {"eth_src": "eth.src", "eth_dst": "eth.dst"}
IPV4 = {"src": "ip.src", "dst": "ip.dst", "proto": "ip.proto", "ttl": "ip.ttl", "tos": "ip.dsfield", "ip_id": "ip.id"}
IPV6 = {"src": "ipv6.src", "dst": "ipv6.dst", "ttl": "ipv6.hlim", "tos": "ipv6.tclass"}
TCP = {"sport": "tcp.srcport", "dport": "tcp.dstport", "tcp_flags": "tcp.flags", "seq": "tcp.seq_raw", "ack": "tcp.ack_raw",
       "window": "tcp.window_size_value"}
TCP_OPTIONS = {"mss": ("tcp.options.mss_val", Flag.MSS), "wscale": ("tcp.options.wscale.shift", Flag.WSCALE),
               "tsval": ("tcp.options.timestamp.tsval", Flag.TIMESTAMPS), "tsecr": ("tcp.options.timestamp.tsecr", Flag.TIMESTAMPS)}
UDP = {"sport": "udp.srcport", "dport": "udp.dstport"}
ICMP = {"icmp_type": "icmp.type", "icmp_code": "icmp.code"}
ICMPV6 = {"icmp_type": "icmpv6.type", "icmp_code": "icmpv6.code"}
ECHO = {"icmp": {"sport": "icmp.ident", "seq": "icmp.seq"},
        "icmpv6": {"sport": "icmpv6.echo.identifier", "seq": "icmpv6.echo.sequence_number"}}
FIELDS = (*FRAME, "vlan.id", "ieee8021ad.id", *ETHERNET.values(), *IPV4.values(), "ip.frag_offset", "ip.flags.mf", *IPV6.values(),
          "ipv6.fraghdr.offset", "ipv6.fraghdr.ident", *TCP.values(), "tcp.seq", "tcp.len", *(f for f, _ in TCP_OPTIONS.values()),
          *UDP.values(), *ICMP.values(), *ICMPV6.values(), *ECHO["icmp"].values(), *ECHO["icmpv6"].values())
SWITCHES = ("tcp.relative_sequence_numbers:FALSE", "ip.defragment:FALSE", "ipv6.defragment:FALSE", "tcp.desegment_tcp_streams:FALSE",
            "tcp.try_heuristic_first:FALSE", "nameres.network_name:FALSE")


def tshark(path: str) -> list[dict[str, list[str]]]:
    """tshark's fields of every frame, each with all its values in the order of the headers, outermost first."""
    command = ["tshark", "-n", "-r", path, "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=|", "-E", "separator=/t"]
    command += [part for switch in SWITCHES for part in ("-o", switch)] + [part for field in FIELDS for part in ("-e", field)]
    output = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    rows = [zip(FIELDS, line.split("\t"), strict=True) for line in output.splitlines()]
    return [{name: value.split("|") if value else [] for name, value in row} for row in rows]


def address(words: Any) -> str:
    """The text of an address column's row."""
    whole = IPv6Address(int(words[0]) << 64 | int(words[1]))
    return str(whole.ipv4_mapped or whole)


def number(text: str) -> int:
    """A field's number, whatever notation tshark chose for it."""
    if ":" in text:
        return int(text.replace(":", ""), 16)
    return {"True": 1, "False": 0}.get(text) if text in ("True", "False") else int(text, 0)  # type: ignore[return-value]


def layers(protocols: list[str]) -> tuple[list[str], str, list[str]]:
    """(link layers, outer IP layer or "", what lies above it without extension headers) of the names in frame.protocols."""
    for i, name in enumerate(protocols):
        if name in ("ip", "ipv6"):
            return protocols[:i], name, [n for n in protocols[i + 1:] if not n.startswith("ipv6.")]
        if name not in LINK_NAMES:
            return protocols[:i], "", []
    return protocols, "", []


class Comparison:
    """One frame: what tshark says, what our columns say, and a place for the sentences about where they differ."""

    def __init__(self, field: dict[str, list[str]], row: Any, flags: Flag, out: list[str]):
        self.field, self.row, self.flags, self.out = field, row, flags, out

    def note(self, sentence: str) -> None:
        """Keep a difference, with what a person needs to look into it."""
        self.out.append(f"{sentence} ({':'.join(self.field['frame.protocols'])}, {self.flags!r})")

    def says(self, column: str, name: str, which: int = 0, prefix: str = "") -> None:
        """Our column equals tshark's field (its value number `which`)."""
        mine = getattr(self.row, column)
        value = address(mine) if column in ("src", "dst") else int(mine)
        if len(self.field[name]) <= which:
            self.note(f"no {name}, {prefix}{column} is {value}")
            return
        text = self.field[name][which]
        if value != (text if column in ("src", "dst") else number(text)):
            self.note(f"{name} is {text}, {prefix}{column} {value}")


def link_differences(c: Comparison, link: list[str]) -> None:
    """MAC addresses and the outermost VLAN tag."""
    tag = next((f"{name}.id" for name in link if name in ("vlan", "ieee8021ad")), "")
    if c.flags & Flag.VLAN and tag:
        c.says("vlan", tag)
    elif bool(c.flags & Flag.VLAN) != bool(tag) and not c.flags & (Flag.SHORT | Flag.OTHER_LINK):
        c.note(f"tag {tag or 'none'}")
    if link[:1] == ["eth"] and c.field["eth.dst"]:
        for column, name in ETHERNET.items():
            c.says(column, name)


def ip_differences(c: Comparison, ip: str) -> None:
    """The outer IP header and its fragment fields. tshark says little of a header whose options are cut."""
    if c.flags & Flag.SHORT and not c.field[f"{ip}.dst"]:
        return
    for column, name in (IPV6 if ip == "ipv6" else IPV4).items():
        c.says(column, name)
    if ip == "ip" and c.field["ip.frag_offset"]:
        more, offset = number(c.field["ip.flags.mf"][0]), number(c.field["ip.frag_offset"][0])
        if bool(c.flags & Flag.FRAGMENT) != bool(more or offset) or int(c.row.frag_offset) != offset:
            c.note(f"fragment at {offset}, more {more}, our offset {c.row.frag_offset}")
    elif ip == "ipv6" and c.flags & Flag.FRAGMENT:
        c.says("frag_offset", "ipv6.fraghdr.offset")
        c.says("ip_id", "ipv6.fraghdr.ident")


def transport_differences(c: Comparison, name: str) -> None:
    """TCP with its options, UDP, or ICMP."""
    whole = not c.flags & (Flag.SHORT | Flag.BAD)
    if not c.flags & TRANSPORTS[name]:
        if whole:
            c.note(f"{name} not decoded")
        return
    if name in ("tcp", "udp"):
        for column, field in (TCP if name == "tcp" else UDP).items():
            c.says(column, field)
    else:
        for column, field in (ICMP if name == "icmp" else ICMPV6).items():
            c.says(column, field)
        if c.flags & Flag.IN_QUERY and c.field[ECHO[name]["sport"]]:
            for column, field in ECHO[name].items():
                c.says(column, field)
    if name == "tcp" and whole:
        if c.field["tcp.len"]:  # not of a first fragment
            c.says("payload_len", "tcp.len")
        for column, (field, mark) in TCP_OPTIONS.items():
            if c.flags & mark:
                c.says(column, field)
            elif c.field[field]:
                c.note(f"{field} is {c.field[field][0]}")


def quote_differences(c: Comparison, ip: str, inner: list[str], quote: Any) -> None:
    """What an ICMP error quotes: its addresses are the second ones of the frame, its ports the first."""
    if quote is None:
        c.note("quote not decoded")
        return
    quoted = Comparison(c.field, quote, c.flags, c.out)
    for column in ("src", "dst"):
        quoted.says(column, f"{ip}.{column}", 1, "quoted ")
    if inner[:1] in (["tcp"], ["udp"]) and quote.ports:
        for column in ("sport", "dport"):
            quoted.says(column, {"tcp": TCP, "udp": UDP}[inner[0]][column], 0, "quoted ")
        if inner[0] == "tcp":
            quoted.says("seq", "tcp.seq", 0, "quoted ")  # tcp.seq_raw is left out of quotes
    elif inner[:1] in (["icmp"], ["icmpv6"]) and quote.ports:
        quoted.says("sport", ECHO[inner[0]]["sport"], 0, "quoted ")
    elif inner[:1] in (["tcp"], ["udp"]) and c.field[{"tcp": TCP, "udp": UDP}[inner[0]]["sport"]]:
        c.note("quoted ports not decoded")


def differences(path: str, p: Packets, q: Quoted) -> list[str]:
    """Every point on which tshark and our columns differ, a line each."""
    seen = tshark(path)
    out = [] if len(seen) == len(p) else [f"tshark has {len(seen)} frames, we have {len(p)}"]
    quotes = {int(r): SimpleNamespace(**{n: getattr(q, n)[k] for n in q.columns}) for k, r in enumerate(q.carrier)}
    for i, field in enumerate(seen[:len(p)]):
        here: list[str] = []
        c = Comparison(field, p.row(i), Flag(int(p.flags[i])), here)
        seconds, _, fraction = "".join(field["frame.time_epoch"]).partition(".")
        if not c.flags & Flag.NO_TIME and int(seconds + fraction.ljust(9, "0")) != c.row.time_ns:
            c.note(f"time {seconds}.{fraction}, ours {c.row.time_ns}")
        c.says("wire_len", "frame.len")
        c.says("cap_len", "frame.cap_len")
        field["frame.protocols"] = (field["frame.protocols"] or [""])[0].split(":")
        link, ip, above = layers(field["frame.protocols"])
        link_differences(c, link)
        if c.flags & Flag.IP and not ip:
            c.note("tshark sees no IP")
        elif ip and not c.flags & Flag.IP and field[f"{ip}.dst"] and not c.flags & (Flag.BAD | Flag.SHORT):
            c.note("IP not decoded")
        elif ip and c.flags & Flag.IP:
            ip_differences(c, ip)
            if above[:1] and above[0] in TRANSPORTS:
                transport_differences(c, above[0])
            elif c.flags & (Flag.TCP | Flag.UDP | Flag.ICMP) and not c.flags & (Flag.SHORT | Flag.BAD | Flag.FRAGMENT):
                c.note("tshark sees no transport")
            error = above[:2] == ["icmp", "ip"] or (above[:2] == ["icmpv6", "ipv6"] and c.row.icmp_type < 128)
            if error and c.flags & Flag.ICMP and len(field[f"{ip}.dst"]) > 1:
                quote_differences(c, ip, above[2:], quotes.get(i))
        out += [f"frame {i + 1}: {line}" for line in here]
    return out
