"""A NAT's own table of sessions: conntrack -L and -E (plain, extended, xml, save), /proc/net/nf_conntrack, OVS's, Get-NetNatSession.

A session is two tuples, as netfilter has it: its first packet as it arrived, and the answer to it as that arrives. Lines that are
neither sessions nor events (a summary, expectations) are passed over and counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..address import parse
from ..terms import PcapnatError, printable
from .powershell import records
from .ruleset import LARGEST, RulesError, number, protocol_number

MOST_SESSIONS = 1 << 22
LONGEST = 1 << 12
"""Characters of a line; the longest seen has six hundred."""
Tuple = tuple[int, tuple[int, int], int, tuple[int, int], int]
"""Protocol, source, its port, destination, its port; the identifier of an ICMP query stands in both places, -1 is no port."""
QUERIES = (1, 58)


@dataclass
class Known:
    """One session of a table. line: where it stands, from 1. first_ns, last_ns: when it was made and ended, if events tell."""

    arrives: Tuple
    answer: Tuple
    state: str
    answered: bool
    line: int
    first_ns: int | None = None
    last_ns: int | None = None

    @property
    def leaves(self) -> Tuple:
        """Its first packet as the box sent it on."""
        proto, src, sport, dst, dport = self.answer
        return (proto, dst, dport, src, sport)

    @property
    def translated(self) -> bool:
        """Whether either end is rewritten."""
        return self.arrives[1:] != self.leaves[1:]


@dataclass
class SessionTable:
    """A table as read. events: it lists what happened over a time, instead of what there was at one moment."""

    file: str
    sessions: list[Known] = field(default_factory=list)
    events: bool = False
    passed_over: int = 0
    """Lines or objects that are no session."""


def session_table(file: str) -> SessionTable:
    """What a file holds; PcapnatError in one line, with the place."""
    found = SessionTable(file)
    name = printable(file)
    try:
        with Path(file).open("rb") as opened:
            head = opened.read(LARGEST + 1)
            start = head[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
            if head[:2] in (b"\xff\xfe", b"\xfe\xff") or start in (b"{", b"["):
                begins_line = re.match(rb"\s*\[(?:\d+\.\d+\s*\]|NEW\]|UPDATE\]|DESTROY\])", head)
                if not begins_line:
                    if len(head) > LARGEST:
                        raise RulesError(f"larger than {LARGEST >> 20} MiB")
                    code = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
                    _sessions(records(head.decode(code, "replace")), found)
                    return _some(found)
            if start == b"<":
                if len(head) > LARGEST:
                    raise RulesError(f"larger than {LARGEST >> 20} MiB")
                _flows(head.decode("utf-8", "replace"), found)
                return _some(found)
            opened.seek(0)
            _lines((raw.decode("utf-8", "replace") for raw in iter(lambda: opened.readline(LONGEST + 1), b"")), found)
            return _some(found)
    except (RulesError, ValueError) as error:
        raise PcapnatError(f"{name}: {printable(str(error))}") from None
    except OSError as error:
        raise PcapnatError(f"{name}: {(error.strerror or str(error)).lower()}") from None


def _some(found: SessionTable) -> SessionTable:
    if not found.sessions:
        raise RulesError("no table of sessions: neither conntrack's lines or xml nor Get-NetNatSession's JSON")
    return found


def _lines(lines: Iterable[str], found: SessionTable) -> None:
    """One session or event a line."""
    last: dict[tuple[Tuple, Tuple], Known] = {}
    for k, line in enumerate(lines, 1):
        if len(line) > LONGEST:
            raise RulesError(f"line {k}: longer than {LONGEST} characters")
        saved = line.startswith("-A ")
        if not saved and ("src=" not in line or "mask-src=" in line or "l3proto = " in line):
            found.passed_over += bool(line.strip())
            continue
        try:
            when, event, known = (None, "", _saved(line, k)) if saved else _line(line, k)
        except (RulesError, ValueError) as error:
            raise RulesError(f"line {k}: {error}") from None
        if not event:
            found.sessions.append(known)
        else:
            found.events = True
            key = known.arrives, known.answer
            seen = last.get(key)
            if event == "NEW" or seen is None:
                known.first_ns = when if event == "NEW" else None
                last[key] = seen = known
                found.sessions.append(known)
            seen.answered |= known.answered
            seen.state = known.state or seen.state
            if event == "DESTROY":
                seen.last_ns = when
                del last[key]
        if len(found.sessions) > MOST_SESSIONS:
            raise RulesError(f"more than {MOST_SESSIONS:,} sessions")


EVENT = re.compile(r"\s*(?:\[(\d{1,12})\.(\d{1,9})\s*\])?\s*(?:\[(NEW|UPDATE|DESTROY)\])?\s*")
OVS = re.compile(r"\s*(\w+),orig=\(([^()]*)\),reply=\(([^()]*)\)")


def _line(line: str, k: int) -> tuple[int | None, str, Known]:
    """(time, event or "", session)."""
    vswitch = OVS.match(line)
    if vswitch:
        proto = protocol_number(vswitch[1])
        pair = [_tuple(proto, dict(p.split("=", 1) for p in vswitch[n].split(",") if "=" in p)) for n in (2, 3)]
        phase = re.search(r"state_orig=(\w+)", line)
        return None, "", Known(pair[0], pair[1], phase[1] if phase else "", True, k)
    head = EVENT.match(line)
    assert head  # everything in it is optional
    when = int(head[1]) * 1_000_000_000 + int(head[2].ljust(9, "0")) if head[1] else None
    words = line[head.end() :].split()
    if words[:1] in (["ipv4"], ["ipv6"]):
        words = words[2:]
    if len(words) < 3:
        raise RulesError("it ends early")
    proto = number(words[1], 255)
    parts: list[dict[str, str]] = []
    before = []
    for word in words[2:]:
        name, sign, value = word.partition("=")
        if name == "src" and sign:
            if len(parts) == 2:
                raise RulesError("three tuples")
            parts.append({})
        if not parts:
            before.append(word)
        elif sign and not word.startswith("["):
            parts[-1].setdefault(name, value)
    if len(parts) != 2:
        raise RulesError("not two tuples")
    state = next((w for w in before if w.isupper()), "")
    known = Known(_tuple(proto, parts[0]), _tuple(proto, parts[1]), state, "[UNREPLIED]" not in line, k)
    return when, head[3] or "", known


def _saved(line: str, k: int) -> Known:
    """A session as `conntrack -o save` has it: options in pairs, the answer's addresses perhaps by what they were translated to."""
    words = line.split()[1:]
    if len(words) % 2:
        raise RulesError("an option without a value")
    said = dict(zip(words[::2], words[1::2], strict=True))
    if "-p" not in said:
        raise RulesError("no protocol")
    proto = protocol_number(said["-p"])
    ends = []
    for names in (("-s",), ("-d",), ("-g", "-r"), ("-n", "-q")):
        address = next((said[name] for name in names if name in said), None)
        if address is None:
            raise RulesError("an address is missing")
        ends.append(address)
    ports = [("sport", "--sport", "--orig-port-src"), ("dport", "--dport", "--orig-port-dst"),
             ("sport", "--reply-port-src"), ("dport", "--reply-port-dst")]  # fmt: skip
    tuples = []
    for at in (0, 2):
        given = {name: said[word] for name, *options in ports[at : at + 2] for word in options if word in said}
        if "--icmp-id" in said or "--icmpv6-id" in said:
            given["id"] = said.get("--icmp-id", said.get("--icmpv6-id", ""))
        tuples.append(_tuple(proto, {"src": ends[at], "dst": ends[at + 1], **given}))
    return Known(tuples[0], tuples[1], said.get("--state", ""), "SEEN_REPLY" in said.get("-u", ""), k)


def _tuple(proto: int, words: dict[str, str]) -> Tuple:
    """src=, dst= and the ports or the identifier."""
    if "src" not in words or "dst" not in words:
        raise RulesError("an address is missing")
    try:
        src, dst = parse(words["src"]), parse(words["dst"])
    except ValueError:
        raise RulesError(f"{words['src'][:50]} or {words['dst'][:50]} is no address") from None
    if proto in QUERIES:
        at = number(words["id"]) if "id" in words else -1
        return proto, src, at, dst, at
    sport, dport = (number(words[name]) if name in words else -1 for name in ("sport", "dport"))
    return proto, src, sport, dst, dport


def _flows(text: str, found: SessionTable) -> None:
    """conntrack -o xml. It ends without its last tag where it was cut off or is of events."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise RulesError("XML with declarations of its own is not read")
    from xml.etree import ElementTree

    for k, flow in enumerate(re.finditer(r"<flow\b.*?</flow>", text, re.DOTALL), 1):
        try:
            tree = ElementTree.fromstring(flow[0])
        except ElementTree.ParseError as error:
            raise RulesError(f"flow {k}: {error}") from None
        pair = []
        for way in ("original", "reply"):
            meta = tree.find(f"meta[@direction='{way}']")
            layer = None if meta is None else meta.find("layer4")
            if meta is None or layer is None:
                break
            words = {e.tag: (e.text or "").strip() for name in ("layer3", "layer4") for part in meta.findall(name) for e in part}
            for name in ("icmpid", "icmp-id"):
                if name in words:
                    words["id"] = words[name]
            try:
                pair.append(_tuple(number(layer.get("protonum", ""), 255), words))
            except RulesError as error:
                raise RulesError(f"flow {k}: {error}") from None
        if len(pair) != 2:
            found.passed_over += 1
            continue
        phase = tree.find("meta[@direction='independent']/state")
        found.events = found.events or "type" in tree.attrib
        if tree.get("type") in (None, "new") or not any((s.arrives, s.answer) == tuple(pair) for s in found.sessions[-64:]):
            answered = tree.find("meta[@direction='independent']/unreplied") is None
            found.sessions.append(Known(pair[0], pair[1], (phase.text or "") if phase is not None else "", answered, k))
        if len(found.sessions) > MOST_SESSIONS:
            raise RulesError(f"more than {MOST_SESSIONS:,} sessions")


NAMES = ("internalsourceaddress", "internaldestinationaddress", "externalsourceaddress", "externaldestinationaddress")


def _sessions(given: Iterator[dict[str, object]], found: SessionTable) -> None:
    """Get-NetNatSession. What arrived inside is its internal pair, what leaves its external one; who asked is not told."""
    for k, r in enumerate(given, 1):
        if not r.keys() >= set(NAMES):
            found.passed_over += 1
            continue
        try:
            proto = protocol_number(str(r.get("protocol", "")).lower())
            ends = []
            for name in NAMES:
                at = r.get(name.replace("address", "port"))
                try:
                    ends.append((parse(str(r[name])), -1 if at is None else number(at)))
                except ValueError:
                    raise RulesError(f"{name}: {str(r[name])[:50]} is no address") from None
        except RulesError as error:
            raise RulesError(f"object {k}: {error}") from None
        (isrc, isp), (idst, idp), (esrc, esp), (edst, edp) = ends
        if proto in QUERIES:
            idp, edp = isp, esp
        found.sessions.append(Known((proto, isrc, isp, idst, idp), (proto, edst, edp, esrc, esp), "", True, k))
        if len(found.sessions) > MOST_SESSIONS:
            raise RulesError(f"more than {MOST_SESSIONS:,} sessions")
