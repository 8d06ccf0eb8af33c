"""Hosts behind an address, as one capture tells: clocks, counters and initial TTLs that cannot be one machine's.

Each method counts only what several independent facts show, and only what was there at the same time; all that is left out makes the
count smaller, so that it is a lower bound. No method gives an upper one. A host here is an address of an IP stack: a virtual machine is
one, too, and a machine with two addresses is two.
Clocks: RFC 7323 5.4; counters: Bellovin, A technique for counting NATted hosts (2002); ports: RFC 6056.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..flow import Port
from ..table import Array
from ..terms import Finding
from ..wire import Flag
from .session import numbers

NS = 1_000_000_000
TCP, SYN, ACK = 6, 2, 16
LEAST = 3
"""Connections that make a clock, and that a TTL needs."""
RATES = (1000, 250, 100)
"""Ticks a second of TCP timestamps: Linux since 4.13, macOS, Windows; older Linux."""
APART_NS = 5 * NS
"""What follows within twice this is no machine that slept or started anew in between."""
NEAR, TICK_NS = 32, 1_000_000
"""How far an identification may be from the one before: packets not seen, and Linux's random step of up to one a tick."""
LATE = 256
"""How far below its counter a packet may be that was overtaken."""
LOOK_BACK_NS = 10 * NS
BITS, MOST_BITS = 20, 12
"""Evidence that makes a counter, and the most that one link gives."""
STEP_PORT = 16
PORTS = 5
"""Connections of a port counter."""
MOST_PACKETS, MOST_GROUPS, MOST_READ = 1_000, 6, 40_000
"""Packets towards one remote address and protocol whose identifications are read, how many of these, and packets in all."""
MOST_SYNS, MOST_ENDS = 5_000, 64
"""Connections of an address that are looked at, and remote ends, those with most first."""
MOST_ADDRESSES = 8
"""Addresses of a capture that are looked at, those that opened most conversations first."""
ACCOUNTED, AGREEING = 0.9, 2
"""The share that a method must account for towards a remote end, and how many such ends must agree before a count is an estimate."""
FEWEST = 4
"""Conversations below which an address is not looked at."""


Counted = tuple[Finding[int], list[int]]
"""What a method counts, and its counts towards each remote end where it accounts for nearly all."""


@dataclass(frozen=True)
class Behind:
    """Hosts behind one address. at_least: what the best method counts, 1 if none does.

    estimate: the same if above 1, where towards two remote ends nine of ten connections or packets are accounted for and all such
    ends agree; else None.
    methods: by name, what each counts (None: undecided).
    """

    address: tuple[int, int]
    conversations: int
    at_least: int
    estimate: int | None
    methods: dict[str, Finding[int]]


def hosts_behind(port: Port) -> list[Behind]:
    """Every address that opened some conversations, those with most first."""
    c, p = port.conversations, port.packets
    client = c.client()
    opener = np.where((client == 1)[:, None], c.b, c.a)
    rows = np.flatnonzero((client >= 0) & np.isin(c.proto, (TCP, 17)))
    if len(rows) < FEWEST:
        return []
    who = numbers(opener[rows])
    size = np.bincount(who)
    syn = np.flatnonzero((p.flags & int(Flag.TCP) != 0) & (p.tcp_flags & (SYN | ACK) == SYN) & (port.conversation >= 0))
    syn = syn[np.sort(np.unique(_tuple(p, syn), return_index=True)[1])]  # a tuple used again, or a SYN sent again, is told once
    found, left = [], MOST_READ
    for number in np.argsort(-size, kind="stable")[:MOST_ADDRESSES].tolist():
        if size[number] < FEWEST:
            break
        address = opener[rows[who == number][0]]
        mine = syn[(p.src[syn] == address).all(axis=1)][:MOST_SYNS]
        ids, read = _id_counters(port, address, left)
        left -= read
        found.append(_behind(port, address, int(size[number]), mine, ids))
    return found


def _ends(end: Array) -> list[Array]:
    """Positions of each remote end's connections, those with most first."""
    order = np.argsort(end, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(end[order])) + 1) if len(end) else []
    return sorted(parts, key=len, reverse=True)[:MOST_ENDS]


def _tuple(p: object, rows: Array) -> Array:
    return numbers(*(getattr(p, name)[rows] for name in ("src", "dst", "sport", "dport")))


def _behind(port: Port, address: Array, count: int, syn: Array, ids: Counted) -> Behind:
    p = port.packets
    clocks, ports = _clocks(port, syn), _port_counters(port, syn)
    methods = {"tcp_timestamps": clocks[0], "ip_id": ids[0], "source_ports": ports[0], "initial_ttl": _ttls(p.ttl[syn], p.time_ns[syn])}
    least = max((f.value for f in methods.values() if f.value), default=1)
    whole = clocks[1] + ids[1] + ports[1]
    sure = least > 1 and len(whole) >= AGREEING and set(whole) == {least}  # one is no sign that there are no others
    return Behind((int(address[0]), int(address[1])), count, least, least if sure else None, methods)


def _together(first: Array, last: Array, apart: int = 0) -> int:
    """The most of some spans of time that overlap, each made longer by `apart` at both ends."""
    if not len(first):
        return 0
    time = np.concatenate([first - apart, last + apart])
    step = np.repeat(np.array([1, -1]), len(first))
    return int(np.cumsum(step[np.lexsort((-step, time))]).max())


def _clocks(port: Port, syn: Array) -> Counted:
    """Clocks towards one remote address: from when a machine's timestamps count (RFC 7323 5.4; by address pair in Linux 4.10 to 6.x).

    Stacks that begin anew for every connection (Linux since 6.x, newer Windows and macOS) share no clock and are not counted.
    """
    p = port.packets
    rows = syn[p.flags[syn] & int(Flag.TIMESTAMPS) != 0]
    if len(rows) < LEAST:
        return Finding(None, 0, 0, f"{len(rows)} connections with timestamps are too few"), []
    best, support, whole = 0, 0, list[int]()
    for part in (rows[end] for end in _ends(numbers(p.dst[rows]))):
        if len(part) < LEAST:
            continue
        spans = [span for rate in RATES for span in _lines(p.time_ns[part], p.tsval[part], rate)]
        if spans:
            first, last, n = (np.array(column) for column in zip(*spans, strict=True))
            together, on = _together(first, last, APART_NS), int(n.sum())
            best, support = max((best, support), (together, on))
            whole += [together] * (on >= ACCOUNTED * len(part))
    if not best:
        return Finding(None, 0, 0, f"no two of {len(rows)} connections share a clock: their stacks begin anew for each"), []
    return Finding(best, support, 0, f"{best} clocks at a time towards one address, by {support} connections"), whole


def _lines(time_ns: Array, tsval: Array, rate: int) -> list[tuple[int, int, int]]:
    """(first, last, how many) of each set of connections whose timestamps count from one moment at this rate, by at least LEAST."""
    start = int(time_ns.min())
    since = time_ns - start
    seconds = int(since.max()) / NS
    most = 2 + round(rate * (0.02 + 2e-4 * seconds))  # 20 ms until it is sent, and 100 ppm either way
    ticks = since // NS * rate + since % NS * rate // NS
    offset = (tsval.astype(np.int64) - ticks) % (1 << 32)
    order = np.argsort(offset, kind="stable")
    sets = np.split(order, np.flatnonzero(np.diff(offset[order]) > most) + 1)
    if len(sets) > 1 and offset[order[0]] + (1 << 32) - offset[order[-1]] <= most:
        sets[0] = np.concatenate([sets.pop(), sets[0]])
    out = []
    for rows in sets:
        turned = (offset[rows] - offset[rows[0]] + (1 << 31)) % (1 << 32)
        first, last = int(time_ns[rows].min()), int(time_ns[rows].max())
        # So long that no other rate stays within the tolerance.
        if len(rows) >= LEAST and int(np.ptp(turned)) <= most and (last - first) / NS >= max(1.0, 4 * most / rate):
            out.append((first, last, len(rows)))
    return out


def _id_counters(port: Port, address: Array, left: int) -> tuple[Counted, int]:
    """Counters of IPv4 identifications that conversations with one address share: a machine has one (in Linux by address pair).

    Sockets with a counter of their own (TCP, connected UDP of Linux) share none. A conversation that begins on a counter that runs is
    worth as many bits as it is unlikely for a random number to come so close above any of them; a counter needs BITS. left: packets that
    may be read; those that were are given back.
    """
    p = port.packets
    v4 = p.flags & (int(Flag.V6) | int(Flag.IP)) == int(Flag.IP)
    rows = np.flatnonzero((p.src == address).all(axis=1) & v4 & (p.ip_id != 0) & (p.frag_offset == 0) & (port.conversation >= 0))
    group = numbers(p.dst[rows], p.proto[rows])
    sizes = np.bincount(group) if len(rows) else np.zeros(0, np.int64)
    best, support, whole, read = 0, 0, list[int](), 0
    for number in np.argsort(-sizes, kind="stable")[:MOST_GROUPS].tolist():
        part = rows[group == number][: min(MOST_PACKETS, (left - read) // 2)]
        part = part[np.argsort(p.time_ns[part], kind="stable")]
        talk, ids = port.conversation[part].astype(np.int64), p.ip_id[part].astype(np.int64) & 0xFFFF
        if len(np.unique(talk)) < LEAST:
            continue
        read += 2 * len(part)
        told = [(0, 0)]
        for values in (ids, (ids & 0xFF) << 8 | ids >> 8):  # some count with the bytes exchanged
            spans, held = _counters(p.time_ns[part], values, talk)
            told.append((held, _together(*spans) if held else 0))
        held, together = max(told)  # read the wrong way round, a counter falls apart into several of few packets
        best, support = max((best, support), (together, held))
        whole += [together] * (held >= ACCOUNTED * len(part))
    if not best:
        return (
            Finding(None, 0, 0, f"{len(rows)} packets with an identification: no conversations with one address share a counter"),
            [],
        ), read
    return (Finding(best, support, 0, f"{best} counters at a time towards one address, by {support} packets"), whole), read


def _counters(time_ns: Array, value: Array, talk: Array) -> tuple[tuple[Array, Array], int]:
    """First and last times of the counters that several conversations share, and how many packets lie on them."""
    begins = np.zeros(len(value), bool)
    begins[np.unique(talk, return_index=True)[1]] = True  # later packets of two sockets may meet: their counters run across one another
    at, seen, first, held = np.zeros((4, len(value)), np.int64)
    evidence, n = np.zeros(len(value)), 0
    for k, (now, v) in enumerate(zip(time_ns.tolist(), value.tolist(), strict=True)):
        since = now - seen[:n]
        ahead = (v + LATE - at[:n] & 0xFFFF) - LATE
        distance = np.where((ahead <= NEAR + since // TICK_NS) & (since <= LOOK_BACK_NS), np.abs(ahead), 1 << 16)
        tip = int(distance.argmin()) if n else 0
        if n and distance[tip] < 1 << 16:
            step = int(ahead[tip])
            if step > 0:
                if begins[k]:
                    running = int((since <= LOOK_BACK_NS).sum())
                    evidence[tip] += min(-math.log2(min(1.0, running * step / 65536)), MOST_BITS) - 2
                at[tip], seen[tip] = v, now
            held[tip] += 1
        else:
            at[n], seen[n], first[n], held[n] = v, now, now, 1
            n += 1
    told = evidence >= BITS
    return (first[told], seen[told]), int(held[told].sum())


def _strands(values: list[int]) -> list[list[int]]:
    """Positions in a list of ports, taken together where each is 1 to STEP_PORT above the one before."""
    tips: dict[int, list[int]] = {}
    strands: list[list[int]] = []
    for k, value in enumerate(values):
        for back in range(1, STEP_PORT + 1):
            strand = tips.pop(value - back, None)
            if strand is not None:
                break
        else:
            strand = []
            strands.append(strand)
        strand.append(k)
        tips[value] = strand
    return strands


def _port_counters(port: Port, syn: Array) -> Counted:
    """Counters of source ports towards one destination: each machine has one (RFC 6056 3.3.3; sequential ones too), if the NAT keeps ports.

    Counts only where nearly all connections towards the destination lie on such counters, and chance would have made none.
    """
    p = port.packets
    best, support, whole = 0, 0, list[int]()
    for part in (syn[end] for end in _ends(numbers(p.dst[syn], p.dport[syn]))):
        part = part[np.argsort(p.time_ns[part], kind="stable")]
        strands = _strands(p.sport[part].tolist())
        long = [part[s] for s in strands if len(s) >= PORTS]
        on = sum(len(s) for s in long)
        if not long or on < 0.8 * len(part) or len(strands) * STEP_PORT > 0.05 * 16384:
            continue
        together = _together(np.array([p.time_ns[s[0]] for s in long]), np.array([p.time_ns[s[-1]] for s in long]))
        best, support = max((best, support), (together, on))
        whole += [together] * (on >= ACCOUNTED * len(part))
    if not best:
        return Finding(None, 0, 0, "source ports towards one destination follow no counters"), []
    return Finding(best, support, 0, f"{best} counters at a time towards one destination, by {support} connections"), whole


def _ttls(ttl: Array, time_ns: Array) -> Finding[int]:
    """Initial TTLs that systems differ in: 64 (Unix), 128 (Windows), 255; each by LEAST connections, in turns."""
    start = np.select([ttl <= 32, ttl <= 64, ttl <= 128], [0, 64, 128], 255)
    kinds = [k for k in (64, 128, 255) if int((start == k).sum()) >= LEAST]
    if not kinds:
        return Finding(None, 0, 0, f"{len(ttl)} connections are too few")
    first, last = (np.array([int(f(time_ns[start == k])) for k in kinds]) for f in (np.min, np.max))
    return Finding(_together(first, last), len(ttl), 0, f"initial TTL {', '.join(map(str, kinds))}")
