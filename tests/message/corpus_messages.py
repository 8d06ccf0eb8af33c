"""Captures against tshark's own fields, message by message: python tests/message/corpus_messages.py FOLDER_OR_FILE...

ARP, neighbor discovery, DHCP, DHCPv6, spanning tree, LLDP, CDP, DNS over UDP, SNI and HTTP's host, each as a set of values by
frame or stream. Prints what only one of the two has, a line a file and field, and the counts of both, by reason where what
tshark says of the frame is one:

tunnel     it lies in another packet, where link messages and DNS are not looked for
fragment   it is in a reassembled datagram or stream
key        tshark decrypted it, with the file's keys
tag        it lies behind a switch's tag or another header that is not read
cut        the capture does not hold all of it
malformed  tshark gives up on it, too

Exits with 1 if reading raises anything but a CaptureError. Differences without a frame that are known: tshark waits for the end of
an HTTP request, and lists addresses of names that are too long to be kept.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pcapnat.address import texts
from pcapnat.flow import Port, observe
from pcapnat.message import EventKind, Messages, Topic, messages
from pcapnat.message.dns import CODES
from pcapnat.terms import CaptureError, Point
from pcapnat.wire.via import NO_PACKET

ENDINGS = (".pcap", ".pcapng", ".cap", ".pcap.gz", ".pcapng.gz")
LARGEST = 30 << 20
FIELDS = (
    "frame.number", "tcp.stream", "udp.stream", "frame.protocols", "arp.opcode", "icmpv6.type", "dhcp.option.dhcp", "dhcp.id",
    "dhcpv6.msgtype",
    "dhcpv6.xid", "stp.type", "lldp.chassis.id.mac", "cdp.ttl", "dns.id", "dns.flags.response", "dns.qry.name", "dns.flags.rcode", "dns.a",
    "dns.aaaa", "tls.handshake.extensions_server_name", "http.host", "http.request.method", "lldp.time_to_live", "dns.flags.opcode",
    "tls.handshake.type", "frame.cap_len", "frame.len", "_ws.malformed", "ip.reassembled_in", "ip.fragments", "ipv6.fragments",
    "tcp.segments", "wlan.fc.protected", "tcp.port",
)  # fmt: skip
Facts = dict[str, set[Any]]


def files(arguments: list[str]) -> Iterator[Path]:
    """Capture files, by name."""
    for argument in arguments:
        place = Path(argument)
        found = sorted(p for p in place.rglob("*") if p.name.endswith(ENDINGS)) if place.is_dir() else [place]
        yield from (p for p in found if p.is_file() and p.stat().st_size <= LARGEST)


Reasons = dict[int, str]
"""By frame."""
INNER = (
    "gre", "vxlan", "geneve", "gtp", "l2tp", "teredo", "capwap", "capwap.data", "mpls", "pwethcw", "lwapp", "erspan", "nsh", "batadv",
    "zep", "tzsp", "tapa", "openflow", "openflow_v1", "openflow_v4", "sflow", "ipsec", "otv", "dtls", "btbnep", "usb", "rndis", "esp",
    "etherip", "udpencap", "dvb_ule", "mp2t", "docsis", "exported_pdu", "aal2", "rlc-lte", "pdcp-lte", "gsm_um", "sndcp", "nas-5gs",
    "fp", "mint",
    "trill", "fabricpath", "ieee8021ah", "lisp-data", "vntag", "6lowpan",
)  # fmt: skip
TAGS = ("dsa", "edsa", "mactag", "brcm-tag", "ixiatrailer", "macsec", "vss_monitoring", "exeh", "cmd", "prp", "hsr", "isl")


def reason(row: dict[str, list[str]], layers: list[str]) -> str:
    """Why a frame's message need not be read here, by what tshark says of the frame; empty if nothing does."""
    deep = layers.count("ip") + layers.count("ipv6") > 1 or layers.count("eth") > 1
    if deep or any(layer in INNER for layer in layers):
        return "tunnel"
    if any(row[name] for name in ("ip.reassembled_in", "ip.fragments", "ipv6.fragments", "tcp.segments")):
        return "fragment"
    if any(value in ("1", "True") for value in row["wlan.fc.protected"]):
        return "key"
    if row["frame.cap_len"] != row["frame.len"]:
        return "cut"
    if row["_ws.malformed"]:
        return "malformed"
    return "tag" if any(layer in TAGS for layer in layers) else ""


def by_tshark(path: Path) -> tuple[Facts, Reasons]:
    """What tshark says; an empty field is left out, of several values of one frame all are taken. Frames are numbered as here."""
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", "-E", "separator=\t", "-E", "aggregator=\x1f"]
    for field in FIELDS:
        command += ["-e", field]
    command += ["-Y", "arp or icmpv6 or dhcp or dhcpv6 or stp or lldp or cdp or dns or mdns or tls.handshake or http or llmnr or nbns"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=300)
    command = ["tshark", "-n", "-r", str(path), "-Y", NO_PACKET, "-T", "fields", "-e", "frame.number"]
    others = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300).stdout.split()
    facts: Facts = defaultdict(set)
    reasons: Reasons = {}
    for line in done.stdout.splitlines():
        values = line.split("\t")
        if len(values) != len(FIELDS):
            continue
        row = {name: value.split("\x1f") if value else [] for name, value in zip(FIELDS, values, strict=True)}
        number = int(row["frame.number"][0])
        frame = number - sum(int(other) < number for other in others)
        add(facts, row, frame)
        reasons[frame] = reason(row, ":".join(row["frame.protocols"]).split(":"))
    return facts, reasons


def add(facts: Facts, row: dict[str, list[str]], frame: int) -> None:
    """One line of tshark's."""
    layers = ":".join(row["frame.protocols"]).split(":")
    if "arp" in layers or "rarp" in layers:
        facts["arp"] |= {frame for _ in row["arp.opcode"][:1]}
    types = [int(t) for t in row["icmpv6.type"]]
    quoted = len(types) > 1 and types[-2] < 128
    facts["ndp"] |= {(frame, t) for t in types[-1:] if 133 <= t <= 137 and not quoted}
    facts["dhcp"] |= {(frame, int(t)) for t in row["dhcp.option.dhcp"][:1]}
    facts["dhcpv6"] |= {(frame, int(t)) for t in row["dhcpv6.msgtype"][:1]}
    for name, field in (("stp", "stp.type"), ("lldp", "lldp.time_to_live"), ("cdp", "cdp.ttl")):
        facts[name] |= {frame for _ in row[field][:1]}
    stream = row["tcp.stream"][-1:] or [None]
    if stream[0] is not None:
        facts["sni"] |= {(int(stream[0]), name.lower()) for name in row["tls.handshake.extensions_server_name"][:1]}
        if row["http.host"]:
            facts["host"].add((int(stream[0]), row["http.host"][0]))
    asks = row["dns.id"] and row["dns.qry.name"] and row["dns.flags.opcode"][:1] == ["0"]
    if "dns" in layers and row["dns.flags.response"][:1] in (["1"], ["True"]):
        facts["names"] |= {*row["dns.a"], *row["dns.aaaa"]}
    if "dns" in layers and asks and row["udp.stream"] and not row["tcp.port"]:
        response = row["dns.flags.response"][0] in ("1", "True")
        name = row["dns.qry.name"][0].lower().removeprefix("<root>") or "."
        facts["dns"].add(
            (frame, int(row["dns.id"][0], 16), name, int(row["dns.flags.rcode"][0]) if response and row["dns.flags.rcode"] else -1)
        )


def by_us(port: Port, said: Messages) -> Facts:
    """The same from what we read."""
    facts: Facts = defaultdict(set)
    events = said.events
    for k, (row, kind) in enumerate(zip(events.row.tolist(), events.kind.tolist(), strict=True)):
        frame, details = row + 1, said.details.get(k, {})
        if kind < 10:
            facts["arp"].add(frame)
        elif kind < 20:
            facts["ndp"].add((frame, NDP[EventKind(kind)]))
        elif kind < 40:
            if kind > 20 or "type" in details:
                facts["dhcp"].add((frame, details.get("type", kind - 20)))
        elif kind < 60:
            facts["dhcpv6"].add((frame, kind - 40))
        else:
            facts["stp" if kind < 70 else EventKind(kind).name.lower()].add(frame)
    streams = port.conversations.stream.tolist()
    for c in range(len(port.conversations)):
        application = said.speech.application(c)
        if application and application.name and application.protocol == "tls":
            facts["sni"].add((streams[c], application.name.lower()))
        if application and application.protocol == "http" and application.details.get("method") and application.name:
            facts["host"].add((streams[c], application.name))
    q = said.queries.take(port.conversations.proto[said.queries.conversation] == 17)
    for k in range(len(q)):
        name = said.texts[q.name[k]].lower() if q.name[k] >= 0 else "?"
        if q.row[k] >= 0:
            facts["dns"].add((int(q.row[k]) + 1, int(q.ident[k]), name, -1))
        if q.response_row[k] >= 0:
            facts["dns"].add((int(q.response_row[k]) + 1, int(q.ident[k]), name, int(q.code[k])))
    # Of the names that are DNS's, those of addresses that a PTR's question holds are no field of tshark's.
    reverse = said.queries.response_row[(said.queries.qtype == 12) & (said.queries.response_row >= 0)]
    picked = np.isin(said.names.row, reverse)
    facts["names"] = {
        a for a, source, asked in zip(texts(said.names.address), said.names.source.tolist(), picked.tolist(), strict=True)
        if source == 1 and not asked
    }  # fmt: skip
    return facts


NDP = {
    EventKind.ROUTER_SOLICITATION: 133, EventKind.ROUTER_ADVERTISEMENT: 134, EventKind.NEIGHBOR_SOLICITATION: 135,
    EventKind.NEIGHBOR_ADVERTISEMENT: 136, EventKind.REDIRECT: 137, EventKind.DUPLICATE_ADDRESS_DETECTION: 135,
    EventKind.UNSOLICITED_ADVERTISEMENT: 136,
}  # fmt: skip


BY_FRAME = ("arp", "ndp", "dhcp", "dhcpv6", "stp", "lldp", "cdp", "dns")


def told(reasons: Counter[str]) -> str:
    """The reasons, the commonest first."""
    return f" ({', '.join(f'{n:,} {why}' for why, n in reasons.most_common())})" if reasons else ""


def main(arguments: list[str]) -> int:
    """Compare every file."""
    equal: Counter[str] = Counter()
    only: dict[str, Counter[str]] = {"tshark": Counter(), "us": Counter()}
    accepted: dict[str, dict[str, Counter[str]]] = {"tshark": defaultdict(Counter), "us": defaultdict(Counter)}
    bad, slow, malformed = 0, 0.0, Counter[Topic]()
    for path in files(arguments):
        try:
            port, _ = observe(Point("here", (str(path),)), 64)
        except CaptureError:
            continue
        before = time.thread_time()
        try:
            said = messages(port.picked)
            mine = by_us(port, said)
        except Exception as error:  # what this script is for
            print(f"{path}: {type(error).__name__}: {error}", flush=True)
            bad += 1
            continue
        slow = max(slow, time.thread_time() - before)
        malformed += said.malformed
        theirs, reasons = by_tshark(path)
        for field in sorted({*mine, *theirs}):
            one, other = theirs[field], mine[field]
            equal[field] += len(one & other)
            for who, difference in (("tshark", one - other), ("us", other - one)):
                why = [reasons.get(value if isinstance(value, int) else value[0], "") if field in BY_FRAME else "" for value in difference]
                only[who][field] += len(difference)
                accepted[who][field].update(filter(None, why))
                difference = {value for value, known in zip(difference, why, strict=True) if not known}
                if difference:
                    print(f"{path}: {field}: only {who}: {sorted(difference, key=repr)[:6]}{' ...' * (len(difference) > 6)}", flush=True)
    for field in sorted(equal | only["tshark"] | only["us"]):
        differ = (f"only {who} {only[who][field]:6,}{told(accepted[who][field])}" for who in only)
        print(f"{field:8} equal {equal[field]:7,}  {'  '.join(differ)}")
    print(f"slowest {slow:.3f} s, {bad} raised, malformed { ({t.label: n for t, n in malformed.items()}) }, codes {CODES[3]}")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
