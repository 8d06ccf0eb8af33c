"""Mapping behavior: does a socket keep its outside endpoint towards other destinations (RFC 4787 4.1)?

Only sessions of one socket that were alive together tell. A NAT that keeps free ports shows the same endpoint for all
destinations whether or not it looks at what it gave before; the weaker word, best effort, is said until more is proven.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from ..flow import protocol_name
from ..table import Array
from ..terms import Finding
from .chance import at_least
from .session import Sessions, numbers

BEST_EFFORT = "endpoint-independent-best-effort"
INDEPENDENT, ADDRESS, PORT = "endpoint-independent", "address-dependent", "address-and-port-dependent"
Holders = dict[tuple[int, int], list[int]]
"""Sessions by outside endpoint and destination."""
REMEMBERED_NS = 180_000_000_000
"""How long a NAT may hold a session after its last frame (Linux: 120 s in TIME_WAIT, 180 s for UDP until 5.0)."""
MOST = 32
"""Earlier sessions that one is held against: the latest ones, so that a socket with a million destinations costs no more."""
LISTED = 4
"""Pairs of sessions that are named as evidence."""
DOUBT = 1e-3
"""What chance gives more often than this is no proof of anything else."""
FEW = 0.02
"""Share of exceptions that may have causes nobody saw: sessions from before the captures, or of the box itself."""


@dataclass
class Tally:
    """Sessions of sockets that had another one alive, by what became of them."""

    same_address: int = 0
    """Another port of the same address, same outside endpoint."""
    other_address: int = 0
    """Another address, same outside endpoint."""
    changed_same: int = 0
    """Of same_address, those whose outside port is not the socket's own."""
    changed_other: int = 0
    """Of other_address, the same."""
    same_address_differs: int = 0
    other_address_differs: int = 0
    forced: int = 0
    """Another outside endpoint because somebody else held the usual one towards this destination."""
    returned: int = 0
    """Went back to the socket's own port although the newest mapping, with another one, would have done."""
    returned_same: int = 0
    """Of these, those whose address that mapping was for."""
    moved: list[tuple[int, int]] = field(default_factory=list)
    """The first that got another endpoint, and the session whose endpoint they could have had: rows of Translations."""
    stayed: list[tuple[int, int]] = field(default_factory=list)
    """The first that kept it although their port is not the socket's own, and the session before."""

    def same(self) -> int:
        """Sessions that kept the endpoint."""
        return self.same_address + self.other_address

    def drawn(self) -> bool:
        """Whether none of these is the socket's own port, which is kept for other reasons than having been given before."""
        return self.same() == self.changed_same + self.changed_other

    def differs(self) -> int:
        """Sessions that did not, without a cause that was seen."""
        return self.same_address_differs + self.other_address_differs


def tally(s: Sessions) -> Tally:
    """Compare each session with those of its socket that were alive when it began."""
    out = Tally()
    socket, door = s.sockets(), s.doors()
    target = numbers(s.proto, s.remote, s.remote_port)
    address = numbers(s.remote)
    until = s.until_ns()
    holders: Holders = defaultdict(list)
    for k, key in enumerate(zip(door.tolist(), target.tolist(), strict=True)):
        holders[key].append(k)
    own: dict[int, list[int]] = defaultdict(list)
    kept = s.kept()
    for k in range(len(s)):
        rows = own[int(socket[k])]
        alive = [j for j in rows[-MOST:] if until[j] >= s.first_ns[k] and target[j] != target[k]]
        rows.append(k)
        if not alive:
            continue
        if any(door[j] == door[k] for j in alive):
            newest = alive[-1]
            if kept[k] and not kept[newest] and door[newest] != door[k] and not _held(s, holders, socket, door, target, newest, k):
                out.returned += 1
                out.returned_same += bool(address[newest] == address[k])
            elif all(address[j] == address[k] for j in alive if door[j] == door[k]):
                out.same_address += 1
                out.changed_same += int(not kept[k])
            else:
                out.other_address += 1
                out.changed_other += int(not kept[k])
            if not kept[k] and len(out.stayed) < LISTED:
                out.stayed.append((int(s.row[next(j for j in alive if door[j] == door[k])]), int(s.row[k])))
            continue
        if len(out.moved) < LISTED:
            out.moved.append((int(s.row[alive[-1]]), int(s.row[k])))
        if any(_held(s, holders, socket, door, target, j, k) for j in alive):
            out.forced += 1
        elif any(address[j] == address[k] for j in alive):
            out.same_address_differs += 1
        else:
            out.other_address_differs += 1
    return out


def _held(s: Sessions, holders: Holders, socket: Array, door: Array, target: Array, j: int, k: int) -> bool:
    """Whether another socket had the outside endpoint of session j towards the destination of session k when k began."""
    others = holders.get((int(door[j]), int(target[k])), [])[-MOST:]
    return any(socket[o] != socket[k] and s.first_ns[o] <= s.first_ns[k] and s.last_ns[o] + REMEMBERED_NS >= s.first_ns[k] for o in others)


def tallies(s: Sessions) -> dict[int, Tally]:
    """A tally for each protocol."""
    return {proto: tally(s.take(s.proto == proto)) for proto in np.unique(s.proto).tolist()}


def mapping_behavior(s: Sessions, fixed: bool, overloading: bool | None) -> Finding[str]:
    """One word for all protocols, unknown if they differ. fixed: address for address; overloading: whether endpoints are shared."""
    return one_word(mapping_of(s, tallies(s), fixed, overloading))


def mapping_of(s: Sessions, counted: dict[int, Tally], fixed: bool, overloading: bool | None) -> dict[int, Finding[str]]:
    """The mapping behavior of each protocol."""
    return {proto: _one(s.take(s.proto == proto), n, fixed, overloading) for proto, n in counted.items()}


def one_word(found: dict[int, Finding[str]]) -> Finding[str]:
    """One mapping behavior for all protocols."""
    known = {proto: f for proto, f in found.items() if f.value}
    if not known:
        notes = "; ".join(dict.fromkeys(f.note for f in found.values())) or "no session left the box"
        return Finding(None, sum(f.support for f in found.values()), sum(f.against for f in found.values()), notes)
    values = {f.value for f in known.values()}
    if values == {INDEPENDENT, BEST_EFFORT}:
        values = {BEST_EFFORT}
    if len(values) > 1:
        each = ", ".join(f"{protocol_name(proto)} {f.value}" for proto, f in known.items())
        return Finding(None, 0, 0, f"it differs: {each}")
    value = values.pop()
    note = "; ".join(f"{protocol_name(proto)}: {f.note}" for proto, f in known.items())
    return Finding(value, sum(f.support for f in known.values()), sum(f.against for f in known.values()), note)


def _one(s: Sessions, n: Tally, fixed: bool, overloading: bool | None) -> Finding[str]:
    same, differs = n.same(), n.differs()
    if same + differs + n.forced + n.returned == 0:
        return Finding(None, 0, 0, "no socket had sessions with two destinations at a time")
    seen = f"{same} of {same + differs + n.forced} sessions whose socket had another one alive have its outside endpoint"
    if n.returned > FEW * (n.changed_same + n.changed_other):
        again = f"{seen}; {n.returned} took the socket's own port again although the newest mapping had another"
        if n.returned_same >= 2 and not n.changed_same and not n.changed_other:
            return Finding(PORT, n.returned, 0, again)
        if n.returned >= 2 and n.changed_same >= 2 and not n.returned_same and not n.changed_other:
            return Finding(ADDRESS, n.returned + n.changed_same, 0, f"{again}, none of them for the same address")
        return Finding(None, same, differs + n.returned, f"{again}: no word fits for sure")
    if n.same_address and n.other_address_differs and not n.other_address:
        if n.same_address >= 2 and n.other_address_differs >= 2 and not n.same_address_differs:
            ports = f"{n.same_address} with another port of one address have the same endpoint"
            return Finding(ADDRESS, differs + same, 0, f"{ports}, {n.other_address_differs} with another address have another")
        return Finding(None, same, differs, f"{seen}: too few to tell")
    if not same or same <= FEW * differs or (n.drawn() and same < differs and _by_chance(s, same, same + differs)):
        if n.same_address_differs >= 2:
            return Finding(PORT, differs, same, f"{seen}; {n.same_address_differs} differ for two ports of one address")
        if differs >= 1:
            return Finding(None, differs, same, f"{seen}, but too few spoke to two ports of one address: {ADDRESS} or {PORT}")
        return Finding(None, 0, n.forced, f"{n.forced} sessions found the socket's endpoint taken, and none had a choice")
    if differs > max(FEW * same, 0):
        return Finding(None, same, differs, f"{seen}, and nothing that was seen explains it")
    changed = s.outside_port[~s.kept()]
    if n.drawn() and float(np.ptp(changed) + 1) ** -same > DOUBT:
        return Finding(None, same, differs, f"{seen}: chance could give as much among so few ports")
    if not n.other_address:
        return Finding(None, same, differs, f"{seen}, all towards other ports of one address: endpoint-independent or address-dependent")
    taken = f"; {n.forced} found it taken towards their destination and got another" if n.forced else ""
    if fixed:
        return Finding(INDEPENDENT, same, differs, f"{seen}; addresses are translated one for one")
    if overloading is False and not n.forced and not differs:
        return Finding(INDEPENDENT, same, 0, f"{seen}; no outside endpoint serves two sockets")
    hint = "" if n.changed_same + n.changed_other else "; all kept the socket's own port, which a box that keeps free ports does too"
    return Finding(BEST_EFFORT, same, differs + n.forced, seen + taken + hint)


def _by_chance(s: Sessions, same: int, trials: int) -> bool:
    """Whether so many sessions have an outside endpoint of their socket again because few ports are drawn from."""
    changed = s.outside_port[~s.kept()]
    return len(changed) > 0 and at_least(same, trials, again(s, int(np.ptp(changed)) + 1)) > DOUBT


def again(s: Sessions, ports: int) -> float:
    """At most how often a session gets an outside endpoint that its socket has already, if it is drawn from so many ports."""
    if not len(s):
        return 0.0
    socket = s.sockets()
    owners, count = np.unique(np.unique(np.column_stack([socket, s.doors()]), axis=0)[:, 0], return_counts=True)
    held = count[np.searchsorted(owners, socket)]
    return min(1.0, float(held.mean()) / ports)


def sharing(s: Sessions, keeps: bool, random_span: int) -> Finding[bool]:
    """Port overloading: whether one outside endpoint serves two inside sockets at a time (RFC 4787 4.1 REQ-3).

    keeps: the box keeps ports that are free. random_span: how many ports a random choice is among, 0 if ports are not chosen at random.
    """
    socket, door = s.sockets(), s.doors()
    shared, example = 0, ""
    order = np.lexsort((s.first_ns, door))
    bounds = np.append(np.flatnonzero(np.append(True, np.diff(door[order]) != 0)), len(order)) if len(s) else np.zeros(1, np.int64)
    for a, b in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        rows = order[a:b]
        if b - a < 2 or len(np.unique(socket[rows])) < 2:
            continue
        # The session that lasts longest, and the longest of another socket than that one's.
        longest, other = -1, -1
        for k in rows.tolist():
            rival = longest if longest >= 0 and socket[longest] != socket[k] else other
            if rival >= 0 and s.last_ns[rival] >= s.first_ns[k]:
                shared += 1
                two = f"{s.inside_port[rival]} and {s.inside_port[k]}"
                example = example or f"outside port {s.outside_port[k]} served inside ports {two} at a time"
            if longest < 0 or s.last_ns[k] >= s.last_ns[longest]:
                if longest >= 0 and socket[longest] != socket[k]:
                    other = longest
                longest = k
            elif socket[k] != socket[longest] and (other < 0 or s.last_ns[k] > s.last_ns[other]):
                other = k
    if shared:
        return Finding(True, shared, 0, example)
    made = s.made()
    refused = _refused(made)
    if keeps and refused >= 2:
        return Finding(
            False, refused, 0, f"{refused} sockets did not get their own port, which others held towards other destinations only"
        )
    expected = _expected(made, random_span) if random_span else 0.0
    if expected >= 7:
        return Finding(False, round(expected), 0, f"no endpoint is shared; chance would have shared about {expected:.0f}")
    return Finding(None, 0, 0, "no endpoint was shared, and none need have been")


def _refused(made: Sessions) -> int:
    """Mappings with a changed port although the socket's own was held at that address only towards other destinations."""
    kept = made.kept()
    if not kept.any() or kept.all():
        return 0
    wanted: dict[tuple[int, ...], list[int]] = defaultdict(list)
    keys = np.column_stack([made.proto.astype(np.uint64), made.outside, made.outside_port.astype(np.uint64)]).tolist()
    count = 0
    for k, key in enumerate(keys):
        if not kept[k]:
            holders = wanted.get((key[0], key[1], key[2], int(made.inside_port[k])), [])[-MOST:]
            live = [j for j in holders if made.last_ns[j] + REMEMBERED_NS >= made.first_ns[k]]
            same = [j for j in live if (made.remote[j] == made.remote[k]).all() and made.remote_port[j] == made.remote_port[k]]
            count += bool([j for j in live if made.last_ns[j] >= made.first_ns[k]]) and not same
        wanted[(key[0], key[1], key[2], key[3])].append(k)
    return count


def _expected(made: Sessions, span: int) -> float:
    """How many endpoints a random choice that shares them would have shared."""
    total = 0.0
    for group in np.unique(pool := numbers(made.proto, made.outside)).tolist():
        rows = pool == group
        ends = np.sort(made.last_ns[rows])
        alive = np.arange(int(rows.sum())) - np.searchsorted(ends, made.first_ns[rows], "left")
        total += float(np.maximum(alive, 0).sum()) / span
    return total
