"""Distinct TCP and UDP 5-tuples in the captures of other projects, ours against tshark's. By hand: `python tests/wire/corpus_pairs.py DIR`.

DIR holds the captures and `oracle.tsv` (path, tshark_exit, tcp_pairs, udp_pairs). tshark's numbers hold the packet's TCP
or UDP header and those of the tunnels around it, not what an ICMP error quotes, and no TCP header that is not whole; ours
are made likewise. REASONS says why a file differs.
"""
from __future__ import annotations

import csv
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from pcapnat.terms import CaptureError
from pcapnat.wire import Flag, Outer, Packets, batches
from pcapnat.wire.capture import Capture

COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18", b"BZh", b"\xfd7zXZ")

REASONS = {
    "mptcp-dss-oobr.pcap": "tshark counts no segment whose MPTCP option it finds malformed",
    "wireguard-ping-tcp-dsb.pcapng": "the file holds keys, with which tshark decrypts WireGuard",
}


def tuples(table: Any, rows: Any) -> set[tuple[int, ...]]:
    """The 5-tuples of some rows, the same in both directions."""
    out = set()
    columns = (table.proto, table.src, table.sport, table.dst, table.dport)
    for proto, src, sport, dst, dport in zip(*[c[rows].tolist() for c in columns], strict=True):
        one, other = (*src, sport), (*dst, dport)
        out.add((proto, *min(one, other), *max(one, other)))
    return out


def pairs(path: str) -> tuple[int, int]:
    """Distinct TCP and UDP 5-tuples of a capture."""
    found: set[tuple[int, ...]] = set()
    for batch in batches(Capture(path)):
        p: Packets = batch.packets.take(slice(0, batch.count))
        o: Outer = batch.outer.take(slice(0, batch.outers))
        whole = (p.flags & int(Flag.SHORT) == 0) | (p.flags & int(Flag.TCP) == 0)
        found |= tuples(p, (p.flags & int(Flag.TCP | Flag.UDP) != 0) & whole)
        found |= tuples(o, o.proto == 17)
    return sum(t[0] == 6 for t in found), sum(t[0] == 17 for t in found)


def main(folder: Path, wanted: str = "") -> None:
    """Print the files that differ, and how many do not."""
    count: Counter[str] = Counter()
    with open(folder / "oracle.tsv", encoding="utf-8", errors="surrogateescape") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    for row in rows:
        path = folder / row["path"]
        if row["tshark_exit"] != "0" or wanted not in row["path"]:
            continue
        with open(path, "rb") as file:
            if file.read(6).startswith(COMPRESSED):
                count["compressed: not read here"] += 1
                continue
        try:
            mine = pairs(str(path))
        except CaptureError as error:
            count["no pcap or pcapng"] += 1
            if (row["tcp_pairs"], row["udp_pairs"]) != ("0", "0"):
                print(f"not read   {row['path']}: {error.args[-1]}")
            continue
        same = (row["tcp_pairs"], row["udp_pairs"]) == (str(mine[0]), str(mine[1]))
        count["equal" if same else "different"] += 1
        if not same:
            print(f"different  {row['path']} ({row['linktype']}): tcp {mine[0]}, tshark {row['tcp_pairs']}; "
                  f"udp {mine[1]}, tshark {row['udp_pairs']}; {REASONS.get(path.name, 'UNEXPLAINED')}")
    print(", ".join(f"{n} {what}" for what, n in count.items()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:3])
