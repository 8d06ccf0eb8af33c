"""Which frames entered the box, where and when, and what is known of how they left it.

A frame seen at both points entered where its TTL is higher (or, if equal, where its conversation's direction or the clock
says so). One seen at one point only entered there unless the box sent it: by its MAC address where frames that left the
box show one, else by whose source address it has.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..address import text
from ..flow import Crossing, Port
from ..model import ERROR, NEITHER, NO_PORTS, PORTS, QUERY, Hint, Quotes, Side, Traffic
from ..nat import mappings, translations
from ..nat.behavior import MOST_STATIC, Hairpin, NatBehavior, Static
from ..nat.inferred import nat64_seen, router_seen
from ..table import Array
from ..wire import Flag

IP, HAS_PORTS, QUOTE, ICMP, IN_QUERY, FRAGMENT, SHORT, TCP, UDP = (
    int(f) for f in (Flag.IP, Flag.PORTS, Flag.QUOTE, Flag.ICMP, Flag.IN_QUERY, Flag.FRAGMENT, Flag.SHORT, Flag.TCP, Flag.UDP)
)
QUERIES = {(1, 8): 2, (1, 0): 3, (1, 13): 4, (1, 14): 5, (1, 15): 6, (1, 16): 7, (1, 17): 8, (1, 18): 9, (58, 128): 2, (58, 129): 3}
"""`kind` of the ICMP types that ask and answer (RFC 792, 950, 4443)."""
SYN, ACK = 2, 16
TCP_NUMBER = 6
FEWEST = 3
"""TCP connections, all ended by the box, that show that it ends every one."""
MOST_FALL = 64
"""No box takes more of a TTL."""


@dataclass
class Entered:
    """The frames that entered, in the order of corrected time (that of the first point), and those that only left.

    port, row: 0 and the row at the first point, 1 and that at the second. exit_port, exit_row: where the frame left, -1 if that was not
    seen. made_port, made_row: frames that the box sent and that are no entered frame's: it made them, or their arrival was not seen.
    """

    traffic: Traffic
    quotes: Quotes
    port: Array
    row: Array
    exit_port: Array
    exit_row: Array
    made_port: Array
    made_row: Array
    made_ns: Array
    unread: int = 0
    """Frames with IP that are left out, as their headers are cut."""
    proxied: int = 0
    """Frames of TCP connections that the box ends: it has others of its own, which a NAT's model does not know."""
    overheard: int = 0
    """Frames for other MAC addresses than the box's."""
    early: int = 0
    """Frames from outside, of conversations that crossed, from before the inside capture began: to what they belong was not seen to
    enter, and a model that plays them takes them for strangers whose port is taken."""


def completed(behavior: NatBehavior, crossing: Crossing) -> NatBehavior:
    """The behavior with what a site decides, if it does not say: outside addresses and forwarded ports as they were seen."""
    t = translations(crossing)
    if not behavior.addresses:
        source = (t.kind & 1 != 0) & (t.from_outside == 0) & (t.hairpin == 0)
        seen = [text(int(a[0]), int(a[1])) for a in np.unique(t.outside_src[source], axis=0)[:MOST_STATIC]]
        own = [pair.address for pair in behavior.sources]
        behavior = replace(behavior, addresses=tuple(a for a in seen if a not in own) or tuple(own[:1]))
    if behavior.hairpin is Hairpin.ROUTER_SOURCE and not behavior.router:
        behavior = replace(behavior, router=router_seen(t))
    if not behavior.static and not behavior.complete:
        m, rows = mappings(t)
        first = rows[m.start] if len(m) else np.zeros(0, np.int64)
        fixed = (m.static == 1) & ((t.from_outside[first] == 1) | (t.hairpin[first] == 1)) & (_is_v4(m.inside) == _is_v4(m.outside))
        behavior = replace(behavior, static=tuple(_forward(m.row(int(k))) for k in np.flatnonzero(fixed)[:MOST_STATIC]))
    if not behavior.nat64:
        behavior = replace(behavior, nat64=nat64_seen(t))
        if behavior.nat64 and behavior.inside == ("0.0.0.0/0",):
            behavior = replace(behavior, inside=())  # rules of IPv4 see what comes from IPv6 as hosts of theirs
    if not behavior.addresses and behavior.static:
        asked = np.unique(t.outside_dst[(t.from_outside == 1) & (t.kind & 2 != 0)], axis=0)[:MOST_STATIC]
        named = [rule.outside for rule in behavior.static if rule.outside][:1]
        behavior = replace(behavior, addresses=tuple(named or [text(int(a[0]), int(a[1])) for a in asked]))
    return behavior


def _is_v4(address: Array) -> Array:
    """(n,) whether addresses are IPv4."""
    return np.asarray((address[:, 0] == 0) & (address[:, 1] >> np.uint64(32) == 0xFFFF))


def _forward(m: object) -> Static:
    """A mapping that was opened from outside, as a rule."""
    outside, inside = (text(int(a[0]), int(a[1])) for a in (m.outside, m.inside))  # type: ignore[attr-defined]
    low, to = int(m.outside_port), int(m.inside_port)  # type: ignore[attr-defined]
    if low < 0 or int(m.proto) in (1, 58):  # type: ignore[attr-defined]
        return Static(outside, inside, str(m.proto))  # type: ignore[attr-defined]
    return Static(outside, inside, str(m.proto), (low, low), to)  # type: ignore[attr-defined]


def entered(crossing: Crossing) -> Entered:
    """What entered the box between two ports, with hints for the model."""
    here, there, f = crossing.here, crossing.there, crossing.frames
    ports = (here, there)
    times = (here.packets.time_ns, _corrected(crossing))
    turned = crossing.matches.hairpin[f.match] == 1
    port = [np.zeros(len(f), np.int64), np.where(turned, 0, 1)]
    row = [f.here, f.there]
    ttl, when = (_both(ports, "ttl", port, row), [_pick(times, port[k], row[k]) for k in (0, 1)])
    fall = ttl[0].astype(np.int64) - ttl[1]
    fall[np.abs(fall) > MOST_FALL] = 0  # set anew, by a box that makes packets of its own
    outward = crossing.matches.outward[f.match].astype(np.int64) * np.where(here.reverse[f.here] == 1, -1, 1)
    outward[(here.packets.flags[f.here] & QUOTE) != 0] = 0
    later = np.sign(when[1] - when[0])
    asked = _way_of_client(crossing)[here.conversation[f.here]] * np.where(here.reverse[f.here] == 1, -1, 1)
    asked[(here.packets.flags[f.here] & QUOTE) != 0] = 0
    outward = np.where(outward != 0, outward, asked) * ~turned
    way = np.where(fall != 0, np.sign(fall), np.where(outward != 0, outward, np.where(later != 0, later, 1)))
    first = np.where(way > 0, 0, 1)
    came = np.choose(first, port), np.choose(first, row)
    left = np.choose(1 - first, port), np.choose(1 - first, row)
    # A frame that was cut into several entered once; its first part is what it is compared with.
    size = max(len(here.packets), len(there.packets), 1)
    _, once = np.unique(came[0] * size + came[1], return_index=True)
    gone = np.zeros((2, size), bool)
    gone[left] = True
    arrived = np.zeros((2, size), bool)
    arrived[came] = True
    gone &= ~arrived  # on a mirrored or doubled link a frame may be both
    parts = [[came[0][once], came[1][once], left[0][once], left[1][once]]]
    made: list[tuple[Array, Array]] = []
    unread = proxied = overheard = early = 0
    for number, (p, ended) in enumerate(zip(ports, _ended(crossing), strict=True)):
        flags = p.packets.flags
        whole = (flags & IP != 0) & ~((flags & SHORT != 0) & (flags & (HAS_PORTS | ICMP) == 0))
        unread += int(((flags & IP != 0) & ~whole).sum())
        proxied += int(ended[p.conversation].sum())
        whole &= ~ended[p.conversation]
        alone = np.flatnonzero(whole & ~arrived[number, : len(flags)] & ~gone[number, : len(flags)])
        sent = _sent_by_box(p, came[1][came[0] == number], left[1][left[0] == number], alone)
        to_box = _for_box(p, came[1][came[0] == number], alone)
        enters = alone[~sent & to_box]
        if number == 1:
            too_early = (times[1][enters] < here.first_ns) & np.isin(p.conversation[enters], crossing.matches.there)
            early, enters = int(too_early.sum()), enters[~too_early]
        overheard += int((~sent & ~to_box).sum())
        nothing = np.full(len(enters), -1, np.int64)
        parts.append([np.full(len(enters), number, np.int64), enters, nothing, nothing])
        made.append((np.full(int(sent.sum()), number, np.int64), alone[sent]))
    at, rows, exit_port, exit_row = (np.concatenate([part[k] for part in parts]) for k in range(4))
    moment = _pick(times, at, rows)
    order = np.lexsort((rows, at, moment))
    at, rows, exit_port, exit_row = at[order], rows[order], exit_port[order], exit_row[order]
    traffic, quotes = traffic_of(ports, at, rows, moment[order])
    _hints(traffic, ports, at, rows, exit_port, exit_row)
    made_port, made_row = (np.concatenate([m[k] for m in made]) for k in (0, 1))
    made_ns = _pick(times, made_port, made_row)
    return Entered(traffic, quotes, at, rows, exit_port, exit_row, made_port, made_row, made_ns, unread, proxied, overheard, early)


def _way_of_client(crossing: Crossing) -> Array:
    """Per conversation at the first point, and a last one for none: 1 if its a sends outwards, -1 inwards, by whose end was rewritten."""
    c, t = crossing.here.conversations, translations(crossing)
    way = np.zeros(len(c) + 1, np.int64)
    told = (t.hairpin == 0) & (t.kind != 0) & (c.client()[t.inside_row] >= 0)
    rows = t.inside_row[told]
    way[rows] = np.where((t.from_outside[told] == 1) ^ (c.client()[rows] == 1), -1, 1)
    return way


def _ended(crossing: Crossing) -> tuple[Array, Array]:
    """Per conversation of either port, and a last one for none: whether the box ends its TCP connection and has one of its own."""
    m = crossing.matches
    over = m.ended == 1
    both = (np.zeros(len(crossing.here.conversations) + 1, bool), np.zeros(len(crossing.there.conversations) + 1, bool))
    both[0][m.here[over]], both[1][m.there[over]] = True, True
    tcp = crossing.here.conversations.proto[m.here] == TCP_NUMBER
    if int(over.sum()) >= FEWEST and over[tcp].all():  # then it ends those, too, that only one side shows
        for ended, p in zip(both, (crossing.here, crossing.there), strict=True):
            ended[:-1] |= p.conversations.proto == TCP_NUMBER
    return both


def _corrected(crossing: Crossing) -> Array:
    """Times at the second port by the first one's clock."""
    c, times = crossing.clock, crossing.there.packets.time_ns
    if c.offset_ns is None:
        return np.asarray(times)
    moved = times - c.offset_ns
    return np.asarray(moved - ((moved - crossing.here.first_ns) * (c.drift_ppb * 1e-9)).astype(np.int64))


def _both(ports: tuple[Port, Port], name: str, port: list[Array], row: list[Array]) -> list[Array]:
    columns = tuple(getattr(p.packets, name) for p in ports)
    return [_pick(columns, port[k], row[k]) for k in (0, 1)]


def _pick(columns: tuple[Array, ...], port: Array, row: Array) -> Array:
    """Elements of one of two columns each."""
    out = np.zeros((len(row), *columns[0].shape[1:]), columns[0].dtype)
    for number, values in enumerate(columns):
        mine = port == number
        out[mine] = values[row[mine]]
    return out


def _sent_by_box(p: Port, came: Array, left: Array, alone: Array) -> Array:
    """Which of the frames seen at one point only were sent by the box."""
    macs = np.unique(p.packets.eth_src[left])
    others = np.unique(p.packets.eth_src[came])
    if len(macs) and not np.isin(macs, others).any() and macs.all():
        return np.asarray(np.isin(p.packets.eth_src[alone], macs))
    arriving = {(int(a[0]), int(a[1])) for a in np.unique(p.packets.src[came], axis=0)}
    leaving = {(int(a[0]), int(a[1])) for a in np.unique(p.packets.src[left], axis=0)} - arriving
    return np.array([(int(a[0]), int(a[1])) in leaving for a in p.packets.src[alone]], bool)


def _for_box(p: Port, came: Array, alone: Array) -> Array:
    """Which of the frames seen at one point only are for the box and not for another on its link, as MAC addresses tell."""
    own = np.unique(p.packets.eth_dst[came])
    if not len(own) or not own.all():
        return np.ones(len(alone), bool)
    to = p.packets.eth_dst[alone]
    return np.asarray(np.isin(to, own) | (to >> np.uint64(40) & np.uint64(1) != 0))


def traffic_of(ports: tuple[Port, ...], at: Array, rows: Array, moment: Array) -> tuple[Traffic, Quotes]:
    """The frames' headers as a model wants them."""
    t = Traffic.empty(len(rows))
    t.time_ns[:], t.side[:], t.hint_port[:], t.quote[:] = moment, at, -1, -1
    quotes = []
    count = 0
    for number, p in enumerate(ports):
        mine = at == number
        r = rows[mine]
        k, flags = p.packets, p.packets.flags[r]
        for name in ("src", "dst", "proto", "ttl", "tcp_flags", "sport", "dport"):
            getattr(t, name)[mine] = getattr(k, name)[r]
        kind = np.where(flags & HAS_PORTS != 0, PORTS, NO_PORTS)
        kind[flags & ICMP != 0] = NEITHER
        for (proto, icmp), value in QUERIES.items():
            kind[(flags & IN_QUERY != 0) & (k.proto[r] == proto) & (k.icmp_type[r] == icmp)] = value
        # Later fragments have their datagram's ports; where these are not known, nothing can be said.
        later = (flags & FRAGMENT != 0) & (k.frag_offset[r] > 0)
        known = later & (p.conversation[r] >= 0)
        c, back = p.conversation[r[known]], p.reverse[r[known]] == 1
        a, b = p.conversations.a_port[c], p.conversations.b_port[c]
        t.sport[np.flatnonzero(mine)[known]] = np.maximum(np.where(back, b, a), 0)
        t.dport[np.flatnonzero(mine)[known]] = np.maximum(np.where(back, a, b), 0)
        query = np.isin(k.proto[r], (1, 58))
        kind[known] = np.where(query[known], QUERY + back, np.where(a >= 0, PORTS, NO_PORTS))  # who asks is a
        t.fragment[mine] = np.where(later, np.where(known, 2, 3), np.where(flags & FRAGMENT != 0, 1, 0))
        quoted = np.full(len(k), -1, np.int64)
        quoted[p.quoted.carrier] = np.arange(len(p.quoted))
        carried = (flags & QUOTE != 0) & (quoted[r] >= 0)
        kind[carried] = ERROR
        which = quoted[r[carried]]
        q = Quotes.empty(len(which))
        for name in ("src", "dst", "sport", "dport", "proto"):
            getattr(q, name)[:] = getattr(p.quoted, name)[which]
        asked = QUERY if number == 1 else QUERY + 1
        q.kind[:] = np.select([p.quoted.ports[which] == 0, np.isin(q.proto, (1, 58))], [NEITHER, asked], PORTS)
        q.kind[(p.quoted.ports[which] == 0) & ~np.isin(q.proto, (1, 6, 17, 58))] = NO_PORTS
        t.quote[np.flatnonzero(mine)[carried]] = count + np.arange(len(which))
        count += len(which)
        quotes.append(q)
        t.kind[mine] = kind
        empty = (kind == NO_PORTS) | (kind == NEITHER)
        t.sport[np.flatnonzero(mine)[empty]] = 0
        t.dport[np.flatnonzero(mine)[empty]] = 0
    return t, Quotes.join(quotes)


def _hints(t: Traffic, ports: tuple[Port, Port], at: Array, rows: Array, exit_port: Array, exit_row: Array) -> None:
    """What was seen of the other side, of the frame itself or of the next frame of its conversation in its direction."""
    seen = exit_row >= 0
    packets = tuple(p.packets for p in ports)
    columns = {name: tuple(getattr(p, name) for p in packets) for name in ("src", "dst", "sport", "dport")}
    inward = at == int(Side.OUTSIDE)
    address = np.zeros((len(t), 2), np.uint64)
    port = np.full(len(t), -1, np.int64)
    for mask, host, place in ((seen & ~inward, "src", "sport"), (seen & inward, "dst", "dport")):
        address[mask] = _pick(columns[host], exit_port[mask], exit_row[mask])
        port[mask] = _pick(columns[place], exit_port[mask], exit_row[mask])
    t.hint[seen], t.hint_port[seen], t.hint_kind[seen] = address[seen], port[seen], int(Hint.SEEN)
    t.hint_kind[t.kind == ERROR] = 0
    for number, p in enumerate(ports):
        mine = np.flatnonzero((at == number) & (t.kind != ERROR))
        c = p.conversation[rows[mine]].astype(np.int64)
        way = np.where(c >= 0, 2 * c + p.reverse[rows[mine]], -1)
        told = mine[(t.hint_kind[mine] != 0) & (way >= 0)][::-1]
        known = np.full(2 * len(p.conversations) + 1, -1, np.int64)
        known[2 * p.conversation[rows[told]].astype(np.int64) + p.reverse[rows[told]]] = told  # the earliest one is written last
        lacking = mine[(t.hint_kind[mine] == 0) & (way >= 0)]
        source = known[2 * p.conversation[rows[lacking]].astype(np.int64) + p.reverse[rows[lacking]]]
        lacking, source = lacking[source >= 0], source[source >= 0]
        t.hint[lacking], t.hint_port[lacking], t.hint_kind[lacking] = t.hint[source], t.hint_port[source], int(Hint.SEEN)
        # A TCP conversation that begins without a SYN, or a ping with its reply, is older than the capture.
        head = np.append(p.conversations.first_row, 0)[p.conversation[rows[mine]]]  # of those without one any row: it does not count
        opened = p.packets.tcp_flags[head] & SYN != 0
        answered = np.isin(p.packets.icmp_type[head], (0, 129)) & (p.packets.flags[head] & IN_QUERY != 0)
        older = (p.conversation[rows[mine]] >= 0) & (((t.proto[mine] == 6) & ~opened) | answered) & (t.hint_kind[mine] != 0)
        t.hint_kind[mine[older]] = int(Hint.BEFORE)
