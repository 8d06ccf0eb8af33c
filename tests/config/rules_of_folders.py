"""How much of each pair the rules beside it explain: `python tests/config/rules_of_folders.py FOLDER [NAME ...]`.

FOLDER holds a folder a scenario, with inside.pcap(ng), outside.pcap(ng), ruleset.json or iptables-save.txt, and perhaps
conntrack-list.txt or conntrack-events.txt. NAME: only folders that begin so; NAME:word=value adds what the rules do not say
(`11:udp_idle=3,udp_reply_idle=5`). Exit status 1 if one explains less than 99.5 %.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pcapnat import pipeline
from pcapnat.config import chosen, session_table
from pcapnat.terms import PcapnatError, Point

ENOUGH = 0.995


def main(folder: str, *names: str) -> int:
    """Prints a line a scenario; 1 if one explains too little."""
    words = {name.partition(":")[0]: name.partition(":")[2] for name in names}
    poor = count = 0
    for here in sorted(Path(folder).iterdir()):
        fits = [w for w in words if here.name.startswith(w)]
        rules = [here / n for n in ("ruleset.json", "iptables-save.txt") if (here / n).exists()]
        points = [next(iter(sorted(here.glob(f"{side}.pcap*"))), None) for side in ("inside", "outside")]
        if not rules or None in points or (words and not fits):
            continue
        changes = words[fits[0]] if fits else ""
        tables = [here / n for n in ("conntrack-events.txt", "conntrack-list.txt") if (here / n).exists()]
        try:
            behavior = chosen(f"{rules[0]}:{changes}" if changes else str(rules[0]))
            table = session_table(str(tables[0])) if tables else None
            found = pipeline.diff([Point(p.stem, (str(p),)) for p in points if p], behavior, table=table)
        except PcapnatError as error:
            print(f"{here.name}: {error}")
            poor += 1
            continue
        r = found.replay
        count += 1
        poor += (r.share or 0) < ENOUGH
        causes = ", ".join(f"{c.count} {c.kind.value} {c.field or ''} {c.reason.name.lower()}".replace("  ", " ") for c in r.causes)
        beside = f"; table: {found.table.agreed} agree, {found.table.contradicted.count} do not" if found.table else ""
        print(f"{here.name}: {r.explained} of {r.frames}{beside}{'; ' + causes if causes else ''}")
        for said in r.behavior.unmodelled:
            print(f"    not modelled: {said}")
    print(f"{count} scenarios, {poor} below {ENOUGH:.1%}")
    return 1 if poor else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
