"""Outside addresses: which, who gets which, and what a host inside meets that asks for one of them."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from ..address import texts
from ..flow import Crossing
from ..flow.life import RST_LETTER, SYNACK_LETTER
from ..table import Array
from ..terms import Finding
from .chance import all_alike
from .session import TCP, UDP, Sessions, numbers
from .translation import Translations
from .watch import Watch


def one_for_one(s: Sessions) -> bool:
    """Whether addresses are translated one for one by a rule: 3 hosts, fixed distance, low bits and ports kept (NETMAP, NPTv6)."""
    if not len(s):
        return False
    pairs = np.unique(np.column_stack([s.inside, s.outside]), axis=0)
    if len(pairs) < 3 or len(np.unique(pairs[:, :2], axis=0)) < len(pairs) or len(np.unique(pairs[:, 2:], axis=0)) < len(pairs):
        return False
    distance = pairs[:, 2:] - pairs[:, :2]  # wraps, which is all right
    low_bits = (distance[:, 1] & np.uint64(15)) == 0
    return bool((distance == distance[0]).all() and low_bits.all() and s.kept().all())


def address_pool(s: Sessions) -> Finding[list[str]]:
    """The outside addresses of sessions made inside."""
    if not len(s):
        return Finding(None, 0, 0, "no session left the box")
    values, counts = np.unique(s.outside, axis=0, return_counts=True)
    names = texts(values)
    each = ", ".join(f"{name} {count}" for name, count in list(zip(names, counts.tolist(), strict=True))[:16])
    return Finding(names, len(s), 0, f"sessions of each: {each}; addresses that were not used do not show")


def pooling(s: Sessions) -> Finding[str]:
    """RFC 4787 REQ-2: paired if a host keeps one address, arbitrary if it had two at a time (of one IP version)."""
    host, pool = numbers(s.inside), numbers(s.outside)
    share = np.bincount(pool) / max(len(s), 1)
    if len(share) < 2:
        return Finding(None, 0, 0, "one outside address")
    socket, remote = s.sockets(), numbers(s.remote)
    until = s.until_ns()
    v4 = s.outside[:, 0] == 0
    arbitrary, example = 0, ""
    picks: list[tuple[int, int]] = []
    picked: list[int] = []
    names = texts(s.outside)
    by_host: dict[int, list[int]] = defaultdict(list)
    for k, h in enumerate(host.tolist()):
        by_host[h].append(k)
    for rows in by_host.values():
        last: dict[bool, int] = {}
        for k in rows:
            kind = bool(v4[k])
            j = last.get(kind)
            if j is not None and pool[j] != pool[k] and until[j] >= s.first_ns[k]:
                arbitrary += 1
                example = example or f"{texts(s.inside[k : k + 1])[0]} had {names[j]} and {names[k]} at a time"
            if j is None or until[k] >= until[j] or pool[j] != pool[k]:
                last[kind] = k
        # A choice by socket, or by host and destination, is made so often.
        different = min(len(np.unique(socket[rows])), len(np.unique(remote[rows])))
        picks += [(len(picked), int(pool[rows[0]]))] * different
        picked.append(different)
    if arbitrary >= 2:
        return Finding("arbitrary", arbitrary, 0, example)
    if arbitrary:
        return Finding(None, arbitrary, 0, f"once: {example}")
    if len(np.unique(np.column_stack([host, pool]), axis=0)) > len(np.unique(host)):
        return Finding(None, 0, 0, "hosts changed their address, never while they had another session")
    who, what = np.array(picks, np.int64).T
    chance = all_alike(who, np.unique(what, return_inverse=True)[1].ravel())
    freedom, hosts = len(picks) - len(picked), sum(different > 1 for different in picked)
    if chance < 0.005:
        return Finding("paired", freedom, 0, f"{hosts} hosts kept one of {len(share)} addresses; by chance with probability {chance:.1g}")
    return Finding(None, freedom, 0, "too few sessions of one host with different destinations")


def hairpin(t: Translations, outside: Array) -> Finding[str]:
    """RFC 4787 REQ-9: with which source a host inside sees another one that asked for an outside address.

    outside: (n, 2) addresses known to be outside ones.
    """
    rows = np.flatnonzero(t.hairpin == 1)
    if not len(rows):
        return Finding(None, 0, 0, "no host inside reached another one through an outside address")
    seen = t.outside_src[rows]
    own = (seen == t.inside_src[rows]).all(axis=1)
    asked = (seen == t.inside_dst[rows]).all(axis=1)
    if len(outside):
        number = numbers(np.concatenate([seen, outside]))
        asked |= np.isin(number[: len(seen)], number[len(seen) :])
    counts = {"internal-source": int(own.sum()), "external-source": int((asked & ~own).sum()), "router-source": int((~asked & ~own).sum())}
    value = max(counts, key=lambda name: counts[name])
    against = len(rows) - counts[value]
    note = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    return Finding(value if not against else None, counts[value], against, f"of {len(rows)} hairpinned conversations {note}")


def unturned(crossing: Crossing, t: Translations, seen: Watch | None) -> dict[int, list[int]]:
    """By protocol: conversations at the inner point for a door of the box that did not come back in, more than loss explains.

    A door is an outside endpoint through which others came in from outside, so that the inner point shows what is sent to its host.
    """
    c, rows = crossing.here.conversations, np.array(sorted(crossing.unmatched_here), np.int64)
    came = np.flatnonzero((t.from_outside == 1) & (t.kind >> 1 == 1) & (t.hairpin == 0) & (t.outside_dport >= 0) & (t.ended == 0))
    if not len(rows) or not len(came) or seen is None:
        return {}

    def towards(address: Array, port: Array) -> Array:
        asked = numbers(*(np.concatenate(two) for two in ((c.proto[rows], t.proto[came]), (c.b[rows], address), (c.b_port[rows], port))))
        return np.isin(asked[: len(rows)], asked[len(rows) :])

    # One that came back in and was not recognised looks like any other conversation to the host behind the door.
    blurred = set(c.proto[rows[towards(t.inside_dst[came], t.inside_dport[came])]].tolist())
    at_door = towards(t.outside_dst[came], t.outside_dport[came]) & np.isin(c.proto[rows], (TCP, UDP)) & (c.client()[rows] == 0)
    reset = c.marks[rows] >> (RST_LETTER + 16) & 1 == 1
    refused = (c.packets_ba[rows] == 0) | (reset & (c.marks[rows] >> (SYNACK_LETTER + 16) & 1 == 0))
    lost = rows[at_door & refused]
    found = {proto: lost[c.proto[lost] == proto].tolist() for proto in (TCP, UDP)}
    return {
        proto: mine for proto, mine in found.items() if mine and proto not in blurred and seen.beyond_loss(int(c.packets_ab[mine].sum()))
    }
