"""Frames through a model as lines a reviewer can read: what enters, and what becomes of it.

    0      in   10.0.0.2:4000 > 192.0.2.1:53 udp          = out 203.0.113.1:4000 > 192.0.2.1:53
    +0.1   out  192.0.2.1:53 > 203.0.113.1:4000 udp       = in  192.0.2.1:53 > 10.0.0.2:4000
    +120   out  192.0.2.1:53 > 203.0.113.1:4000 udp       = dropped NO_MAPPING

A time is in seconds, absolute or after the line before. What: `udp`, `gre`, `tcp` with flags (S, SA, A, F, R), `ping` or `pong` (the
ports are identifiers), `about SRC > DST WHAT` for an ICMP error from the first address to the second that quotes a packet. Words
behind: `ttl=1`, `hint=203.0.113.1:99`, `before=...` (a hint for a session older than the capture), `fragment=2`. The result: a side and
the endpoints, and for errors `about SRC > DST` as rewritten; `dropped REASON`, `local`, or nothing to check nothing.
"""
from __future__ import annotations

import ipaddress

import numpy as np

from pcapnat.address import parse, text
from pcapnat.model import ERROR, REASONS, Choice, Disposition, NatModel, Quotes, Traffic, Verdicts

FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, ".": 0}
PROTOS = {"udp": (17, 1), "tcp": (6, 1), "gre": (47, 0), "ping": (1, 2), "pong": (1, 3), "sctp": (132, 1)}
SIDES = ("in", "out")


def endpoint(word: str) -> tuple[tuple[int, int], int]:
    """Address and port of `10.0.0.2:53`, `[2001:db8::1]:53` or an address alone (port 0)."""
    host, sign, port = word.rpartition(":")
    if not sign or (":" in host and not host.endswith("]")):
        return parse(word), 0
    return parse(host.strip("[]")), int(port)


def written(address: np.ndarray, port: int, kind: int) -> str:
    """The inverse of `endpoint`."""
    host = text(int(address[0]), int(address[1]))
    if not kind:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _what(words: list[str], version: int) -> tuple[int, int, int]:
    """(proto, kind, TCP flags) of the words at the front, which are taken away."""
    name = words.pop(0)
    proto, kind = PROTOS[name]
    flags = sum(FLAGS[letter] for letter in words.pop(0)) if name == "tcp" else 0
    return (58 if proto == 1 and version == 6 else proto), kind, flags


def frames(lines: list[str]) -> tuple[Traffic, Quotes, list[str]]:
    """The frames of a script, the packets their errors quote, and the results that the lines promise."""
    t, q, expected = Traffic.empty(len(lines)), Quotes.empty(len(lines)), []
    now, quotes = 0.0, 0
    for i, line in enumerate(lines):
        does, _, result = line.partition("=") if " = " not in line else line.partition(" = ")
        if " = " not in line:
            does, result = line, ""
        when, side, src, _, dst, *words = does.split()
        now = now + float(when) if when.startswith("+") else float(when)
        t.time_ns[i], t.side[i], t.ttl[i], t.quote[i], t.hint_port[i] = round(now * 1e9), SIDES.index(side), 64, -1, -1
        (t.src[i], t.sport[i]), (t.dst[i], t.dport[i]) = endpoint(src), endpoint(dst)
        version = ipaddress.ip_address(text(*t.src[i].tolist())).version
        if words[0] == "about":
            _, qsrc, _, qdst, *words = words
            (q.src[quotes], q.sport[quotes]), (q.dst[quotes], q.dport[quotes]) = endpoint(qsrc), endpoint(qdst)
            q.proto[quotes], q.kind[quotes], _ = _what(words, version)
            t.proto[i], t.kind[i], t.quote[i] = 58 if version == 6 else 1, ERROR, quotes
            quotes += 1
        else:
            t.proto[i], t.kind[i], t.tcp_flags[i] = _what(words, version)
        for word in words:
            name, _, value = word.partition("=")
            if name in ("hint", "before"):
                t.hint[i], t.hint_port[i] = endpoint(value)
                t.hint_kind[i] = 1 if name == "hint" else 2
            else:
                getattr(t, name)[i] = int(value)
        expected.append(" ".join(result.split()))
    return t, q.take(slice(0, quotes)), expected


def said(v: Verdicts, w: Quotes, t: Traffic, i: int) -> str:
    """A verdict as the lines above write it."""
    if v.disposition[i] == Disposition.DROPPED:
        return f"dropped {REASONS[v.reason[i]].name}"
    if v.disposition[i] == Disposition.LOCAL:
        return "local"
    kind = 0 if t.kind[i] == ERROR else int(t.kind[i])
    ends = f"{written(v.src[i], v.sport[i], kind)} > {written(v.dst[i], v.dport[i], kind)}"
    if t.kind[i] == ERROR:
        r = t.quote[i]
        ends += f" about {written(w.src[r], w.sport[r], w.kind[r])} > {written(w.dst[r], w.dport[r], w.kind[r])}"
    return f"{SIDES[v.side[i]]} {ends}"


def run(model: NatModel, script: str) -> Verdicts:
    """Play a script, in one part, and compare with what its lines promise."""
    lines = [line.split("#")[0].strip() for line in script.splitlines() if line.split("#")[0].strip()]
    t, q, expected = frames(lines)
    v, w = model.play(t, q)
    got = [said(v, w, t, i) for i in range(len(t))]
    wrong = [f"{line}\n      got {g}, choice {Choice(int(v.choice[i])).name}"
             for i, (line, g, e) in enumerate(zip(lines, got, expected, strict=True)) if e and g != e]
    assert not wrong, "\n" + "\n".join(wrong)
    return v
