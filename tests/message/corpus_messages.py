"""Captures against tshark's own fields, message by message: python tests/message/corpus_messages.py FOLDER_OR_FILE...

ARP, neighbor discovery, DHCP, DHCPv6, spanning tree, LLDP, CDP, DNS over UDP, SNI and HTTP's host, each as a set of values by
frame or stream. Prints what only one of the two has, a line a file and field, and the counts of both. Exits with 1 if reading
raises anything but a CaptureError.

Differences that are known: tshark looks into tunnels and reassembled fragments for ARP, spanning tree and DNS, decrypts what the
file has keys for, waits for the end of an HTTP request, and lists addresses of all sections where we take the answers of responses;
we take addresses from PTR's questions; hardware addresses of other lengths than six are no ARP to us.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pcapnat.address import texts
from pcapnat.flow import Port, observe
from pcapnat.message import EventKind, Messages, Topic, messages
from pcapnat.message.dns import CODES
from pcapnat.terms import CaptureError, Point

ENDINGS = (".pcap", ".pcapng", ".cap", ".pcap.gz", ".pcapng.gz")
LARGEST = 30 << 20
FIELDS = (
    "frame.number", "tcp.stream", "udp.stream", "frame.protocols", "arp.opcode", "icmpv6.type", "dhcp.option.dhcp", "dhcp.id",
    "dhcpv6.msgtype",
    "dhcpv6.xid", "stp.type", "lldp.chassis.id.mac", "cdp.ttl", "dns.id", "dns.flags.response", "dns.qry.name", "dns.flags.rcode", "dns.a",
    "dns.aaaa", "tls.handshake.extensions_server_name", "http.host", "http.request.method", "lldp.time_to_live", "dns.flags.opcode",
    "tls.handshake.type",
)  # fmt: skip
Facts = dict[str, set[Any]]


def files(arguments: list[str]) -> Iterator[Path]:
    """Capture files, by name."""
    for argument in arguments:
        place = Path(argument)
        found = sorted(p for p in place.rglob("*") if p.name.endswith(ENDINGS)) if place.is_dir() else [place]
        yield from (p for p in found if p.is_file() and p.stat().st_size <= LARGEST)


def by_tshark(path: Path) -> Facts:
    """What tshark says; an empty field is left out, of several values of one frame all are taken."""
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", "-E", "separator=\t", "-E", "aggregator=\x1f"]
    for field in FIELDS:
        command += ["-e", field]
    command += ["-Y", "arp or icmpv6 or dhcp or dhcpv6 or stp or lldp or cdp or dns or mdns or tls.handshake or http or llmnr or nbns"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=300)
    facts: Facts = defaultdict(set)
    for line in done.stdout.splitlines():
        values = line.split("\t")
        if len(values) != len(FIELDS):
            continue
        row = {name: value.split("\x1f") if value else [] for name, value in zip(FIELDS, values, strict=True)}
        add(facts, row)
    return facts


def add(facts: Facts, row: dict[str, list[str]]) -> None:
    """One line of tshark's."""
    frame, layers = int(row["frame.number"][0]), ":".join(row["frame.protocols"]).split(":")
    if "arp" in layers or "rarp" in layers:
        facts["arp"] |= {frame for _ in row["arp.opcode"][:1]}
    facts["ndp"] |= {(frame, int(t)) for t in row["icmpv6.type"][-1:] if 133 <= int(t) <= 137}
    facts["dhcp"] |= {(frame, int(t)) for t in row["dhcp.option.dhcp"][:1]}
    facts["dhcpv6"] |= {(frame, int(t)) for t in row["dhcpv6.msgtype"][:1]}
    for name, field in (("stp", "stp.type"), ("lldp", "lldp.time_to_live"), ("cdp", "cdp.ttl")):
        facts[name] |= {frame for _ in row[field][:1]}
    stream = row["tcp.stream"][-1:] or [None]
    if stream[0] is not None:
        facts["sni"] |= {(int(stream[0]), name.lower()) for name in row["tls.handshake.extensions_server_name"][:1]}
        if row["http.host"]:
            facts["host"].add((int(stream[0]), row["http.host"][0]))
    if "dns" in layers and row["dns.id"] and row["dns.qry.name"] and row["udp.stream"] and row["dns.flags.opcode"][:1] == ["0"]:
        response = row["dns.flags.response"][0] in ("1", "True")
        name = row["dns.qry.name"][0].lower().removeprefix("<root>") or "."
        facts["dns"].add(
            (frame, int(row["dns.id"][0], 16), name, int(row["dns.flags.rcode"][0]) if response and row["dns.flags.rcode"] else -1)
        )
        if response:
            facts["names"] |= {*row["dns.a"], *row["dns.aaaa"]}


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
    facts["names"] = {a for a, source in zip(texts(said.names.address), said.names.source.tolist(), strict=True) if source == 1}
    return facts


NDP = {
    EventKind.ROUTER_SOLICITATION: 133, EventKind.ROUTER_ADVERTISEMENT: 134, EventKind.NEIGHBOR_SOLICITATION: 135,
    EventKind.NEIGHBOR_ADVERTISEMENT: 136, EventKind.REDIRECT: 137, EventKind.DUPLICATE_ADDRESS_DETECTION: 135,
    EventKind.UNSOLICITED_ADVERTISEMENT: 136,
}  # fmt: skip


def main(arguments: list[str]) -> int:
    """Compare every file."""
    equal: Counter[str] = Counter()
    only: dict[str, Counter[str]] = {"tshark": Counter(), "us": Counter()}
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
        theirs = by_tshark(path)
        for field in sorted({*mine, *theirs}):
            one, other = theirs[field], mine[field]
            equal[field] += len(one & other)
            for who, difference in (("tshark", one - other), ("us", other - one)):
                if difference:
                    only[who][field] += len(difference)
                    print(f"{path}: {field}: only {who}: {sorted(difference, key=repr)[:6]}{' ...' * (len(difference) > 6)}", flush=True)
    for field in sorted(equal | only["tshark"] | only["us"]):
        print(f"{field:8} equal {equal[field]:7,}  only tshark {only['tshark'][field]:6,}  only us {only['us'][field]:6,}")
    print(f"slowest {slow:.3f} s, {bad} raised, malformed { ({t.label: n for t, n in malformed.items()}) }, codes {CODES[3]}")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
