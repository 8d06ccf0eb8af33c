"""Distinct TCP and UDP address and port pairs in the captures of other projects, ours against tshark's, by hand.

    python tests/wire/corpus_pairs.py DIR [PART OF A PATH]

DIR holds the captures and `oracle.tsv` (path, tshark_exit, tcp_pairs, udp_pairs). Ours are what `pcapnat conversations` lists,
the UDP headers around tunnelled packets among them. REASONS says why a file differs.
"""
from __future__ import annotations

import csv
import sys
from collections import Counter
from pathlib import Path

from pcapnat import reading
from pcapnat.terms import CaptureError

CUT = "the only segment's options are cut: tshark's table leaves such segments out, a short snapshot length would lose every SYN"
REASONS = {
    "beep-oobr.pcap": CUT,
    "heapoverflow-tcp_print.pcap": CUT,
    "tcp-auth-heapoverflow.pcap": CUT,
    "mptcp-dss-oobr.pcap": "tshark counts no segment whose MPTCP option it finds malformed",
    "wireguard-ping-tcp-dsb.pcapng": "the file holds keys, with which tshark decrypts WireGuard",
}


def pairs(path: str) -> tuple[int, int]:
    """Distinct TCP and UDP pairs of a capture."""
    c = reading.conversations(path)[1]
    found = set()
    for proto, *ends in zip(c.proto.tolist(), *c.addresses(), c.a_port.tolist(), c.b_port.tolist(), strict=True):
        one, other = (ends[0], ends[2]), (ends[1], ends[3])
        found.add((proto, min(one, other), max(one, other)))
    return sum(pair[0] == 6 for pair in found), sum(pair[0] == 17 for pair in found)


def main(folder: Path, wanted: str = "") -> None:
    """Print the files that differ, and how many do not."""
    count: Counter[str] = Counter()
    with open(folder / "oracle.tsv", encoding="utf-8", errors="surrogateescape") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    for row in rows:
        if row["tshark_exit"] != "0" or wanted not in row["path"]:
            continue
        try:
            mine = pairs(str(folder / row["path"]))
        except CaptureError as error:
            count["not read"] += 1
            print(f"not read   {row['path']}: {error.args[-1]}")
            continue
        same = (row["tcp_pairs"], row["udp_pairs"]) == (str(mine[0]), str(mine[1]))
        count["equal" if same else "different"] += 1
        if not same:
            print(f"different  {row['path']} ({row['linktype']}): tcp {mine[0]}, tshark {row['tcp_pairs']}; "
                  f"udp {mine[1]}, tshark {row['udp_pairs']}; {REASONS.get(Path(row['path']).name, 'UNEXPLAINED')}")
    print(", ".join(f"{n} {what}" for what, n in count.items()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:3])
