"""The grammar of pcap-filter: an expression becomes a tree whose leaves say what is asked of a frame, whatever its link type.

`and` and `or` bind alike, from left to right, and `not` binds closest, as libpcap has it; a bare value takes the last
qualifiers given (`port 80 or 443`). What a leaf means in bytes is for bpf_make.py. Source: pcap-filter(7).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import NamedTuple

from .bpf_run import Always, Chain, Not, Test
from .bpf_words import DEEPEST, ETHERTYPES, ISO, PROTOCOLS, FilterError, Token, service, tokens

_PROTOS = """
link ip arp rarp sctp tcp udp icmp igmp igrp pim vrrp carp radio ip6 icmp6 ah esp atalk aarp decnet lat sca moprc mopdl iso esis isis
l1 l2 iih lsp snp csnp psnp clnp stp ipx netbeui
"""
PROTOS = frozenset(_PROTOS.split())
PORTED: tuple[str, ...] = ("sctp", "tcp", "udp")
BARE = frozenset(("number", "ipv4", "ipv6", "mac", "name"))
"""Tokens that may stand for themselves."""
LEVELS = {"|": 1, "&": 2, "<<": 3, ">>": 3, "+": 4, "-": 4, "*": 5, "/": 5, "%": 9, "^": 9}
"""How closely an operator binds to what is left of it. libpcap gives % and ^ no place among the others: they take all that follows."""
RELATIONS = {"=": ("=", False), ">": (">", False), ">=": (">=", False), "<=": (">", True), "<": (">=", True), "!=": ("=", True)}
"""operator: (the one BPF has, whether its answer is turned round)."""


class Qualifiers(NamedTuple):
    """What a value is: proto as written or "", dir "src", "dst", "or" or "and", type "host", "net", "port", "portrange" or "proto"."""

    proto: str
    dir: str
    type: str


@dataclass(frozen=True, eq=False)
class Ask(Test):
    """A leaf. what: the name of a rule of bpf_make.Maker; its arguments; at: where it stands in the text."""

    what: str
    arguments: tuple[object, ...]
    at: int


@dataclass(frozen=True, eq=False)
class Field:
    """Bytes of a header, as in tcp[13] and ip[2:2]."""

    proto: str
    index: Arithmetic
    size: int
    at: int


@dataclass(frozen=True, eq=False)
class Operation:
    """Two values combined."""

    operator: str
    a: Arithmetic
    b: Arithmetic
    at: int


Arithmetic = int | str | Field | Operation
"""A constant, "len", bytes of a header, or two of them combined."""


def parse(text: str) -> Test:
    """The tree of an expression; an empty one accepts everything. Raises FilterError."""
    parser = _Parser(text)
    if parser.next.kind == "end":
        return Always(True)
    tree, _ = parser.chain(None)
    if parser.next.kind != "end":
        raise parser.unexpected("and, or, or the end")
    return tree


class _Parser:
    def __init__(self, text: str):
        self.tokens = tokens(text)
        self.place = 0
        self.depth = self.operators = 0

    @property
    def next(self) -> Token:
        return self.tokens[self.place]

    def take(self) -> Token:
        token = self.tokens[self.place]
        self.place = min(self.place + 1, len(self.tokens) - 1)
        return token

    def taken(self, *kinds: str) -> Token | None:
        return self.take() if self.next.kind in kinds else None

    def expect(self, what: str, *kinds: str) -> Token:
        if self.next.kind not in kinds:
            raise self.unexpected(what)
        return self.take()

    def unexpected(self, wanted: str) -> FilterError:
        token = self.next
        found = token.text[:40] if token.kind == "end" else repr(token.text[:40])
        return FilterError(f"{found} where {wanted} should be", token.at)

    @contextmanager
    def deeper(self) -> Iterator[None]:
        self.depth += 1
        if self.depth > DEEPEST:
            raise FilterError(f"more than {DEEPEST} things within one another", self.next.at)
        yield
        self.depth -= 1

    # Tests

    def chain(self, last: Qualifiers | None) -> tuple[Test, Qualifiers | None]:
        """Operands joined by and and or; `last`: the qualifiers that a bare value takes."""
        first, last = self.operand(last)
        rest = []
        while word := self.taken("and", "or"):
            more, last = self.operand(last)
            rest.append((word.kind == "and", more))
        return (Chain(first, tuple(rest)) if rest else first), last

    def operand(self, last: Qualifiers | None) -> tuple[Test, Qualifiers | None]:
        nots = 0
        while self.taken("not"):
            nots += 1
        test, last = self.plain(last)
        return (Not(test) if nots % 2 else test), last

    def plain(self, last: Qualifiers | None) -> tuple[Test, Qualifiers | None]:
        """One operand without its `not`s."""
        token = self.next
        if self.computes():
            return self.relation(), None
        if token.kind == "(":
            with self.deeper():
                self.take()
                inside, _ = self.chain(last)
                self.expect("and, or or ')'", ")")
            return inside, last
        if token.kind in BARE:
            if last is None:
                raise FilterError(f"{token.text[:40]!r} needs a word such as host, net or port before it", token.at)
            return self.value(last), last
        if token.kind in PROTOS or token.kind in ("src", "dst", "host", "net", "port", "portrange", "proto", "protochain", "gateway"):
            return self.primitive()
        return self.other("", token), None

    def computes(self) -> bool:
        """Whether a relation between numbers begins here."""
        token, after = self.next, self.tokens[min(self.place + 1, len(self.tokens) - 1)]
        if token.kind == "(" and token.partner > 0:
            after = self.tokens[token.partner + 1]
        elif token.kind in PROTOS:
            return after.kind == "["
        elif token.kind != "number":
            return token.kind in ("len", "-")
        return after.kind in LEVELS or after.kind in RELATIONS

    def primitive(self) -> tuple[Test, Qualifiers | None]:
        """[proto] [dir] [type] value, or a protocol alone, or what has its own words."""
        start = self.next
        proto = self.take().kind if start.kind in PROTOS else ""
        way = self.taken("src", "dst")
        direction = way.kind if way else ""
        if way and self.next.kind in ("or", "and") and self.tokens[self.place + 1].kind == ("dst" if direction == "src" else "src"):
            direction = self.take().kind
            self.take()
        kind = self.taken("host", "net", "port", "portrange")
        if not kind and not way:
            if self.taken("proto"):
                return self.qualified(Qualifiers(proto, "", "proto"))
            if word := self.taken("protochain", "gateway"):
                why = "chasing chains of headers is not supported" if word.kind == "protochain" else "it needs names looked up"
                raise FilterError(f"{word.kind!r}: {why} (-Y may help)", word.at)
            if self.next.kind in ("broadcast", "multicast"):
                return self.other(proto, start), None
            return Ask("abbreviation", (proto,), start.at), None
        return self.qualified(Qualifiers(proto, direction, kind.kind if kind else ""))

    def qualified(self, qualifiers: Qualifiers) -> tuple[Test, Qualifiers]:
        """What follows qualifiers: a value, or several in parentheses."""
        nots = 0
        while self.taken("not"):
            nots += 1
        if self.next.kind == "(":
            with self.deeper():
                self.take()
                test, _ = self.qualified(qualifiers)
                rest = []
                while word := self.taken("and", "or"):
                    rest.append((word.kind == "and", self.qualified(qualifiers)[0]))
                self.expect("and, or or ')'", ")")
            test = Chain(test, tuple(rest)) if rest else test
        else:
            test = self.value(qualifiers)
        return (Not(test) if nots % 2 else test), qualifiers

    def other(self, proto: str, start: Token) -> Test:
        """What has its own words."""
        token = self.take()
        match token.kind:
            case "broadcast" | "multicast":
                return Ask(token.kind, (proto,), start.at)
            case "less" | "greater":
                return Ask("length", (token.kind, self.expect("a number", "number").value), token.at)
            case "byte":
                place = self.expect("a number", "number").value
                operator = self.expect("&, |, <, > or =", "&", "|", "<", ">", "=")
                return Ask("byte", (place, operator.kind, self.expect("a number", "number").value), token.at)
            case "inbound" | "outbound":
                return Ask("inbound", (token.kind == "inbound",), token.at)
            case "ifindex":
                return Ask("ifindex", (self.expect("a number", "number").value,), token.at)
            case "vlan" | "mpls" | "pppoes" | "geneve":
                return Ask(token.kind, (self.optional(),), token.at)
            case "pppoed":
                return Ask("pppoed", (), token.at)
            case "llc":
                name = self.taken("name", "rnr")
                return Ask("llc", (name.text if name else "",), token.at)
            case "rnr":
                raise FilterError(f"{token.text!r} asks for pf, which is not looked at here (-Y may help)", token.at)
        self.place -= token.kind != "end"
        raise self.unexpected("a test")

    def optional(self) -> int | None:
        """A number that may be missing."""
        if self.next.kind == "(":
            with self.deeper():
                self.take()
                value = self.optional()
                if value is None:
                    raise self.unexpected("a number")
                self.expect("')'", ")")
            return value
        return self.take().value if self.next.kind == "number" else None

    # Values

    def value(self, q: Qualifiers) -> Test:
        """A value with its qualifiers."""
        token = self.next
        if token.kind not in BARE:
            escaped = f" (\\{token.text}, as {token.text} is a word of the language)" if q.type == "proto" and token.kind in PROTOS else ""
            raise self.unexpected(("an address" if q.type in ("host", "net", "") else f"a {q.type}") + escaped)
        self.take()
        text, at = token.text[:60], token.at
        if q.type in ("port", "portrange", "proto"):
            if token.kind in ("ipv4", "ipv6", "mac"):
                raise FilterError(f"{text} is not a {q.type}", at)
            return self.proto(q, token) if q.type == "proto" else self.port(q, token)
        if token.kind == "name":
            raise FilterError(f"{text!r} is no address, and names are not looked up", at)
        if token.kind == "mac":
            if q.proto != "link" or q.type == "net":
                raise FilterError(f"{text} is an Ethernet address: it needs `ether`, as in ether host {text}", at)
            digits = [part.zfill(2) for part in token.text.replace("-", ":").replace(".", ":").split(":")]
            return Ask("ether", (q.dir, int("".join(digits), 16)), at)
        if token.kind == "ipv6":
            return self.ipv6(q, token)
        return self.ipv4(q, token)

    def port(self, q: Qualifiers, token: Token) -> Test:
        if q.proto not in ("", *PORTED):
            raise FilterError(f"{q.proto} has no ports", token.at)
        ends = token.text.split("-") if token.kind == "name" and q.type == "portrange" else [token.text]
        if len(ends) > 2 or not all(ends):
            raise FilterError(f"{token.text[:40]!r} is no range of ports", token.at)
        numbers: list[int] = []
        own: set[str] = set()
        for end in ends:
            if token.kind == "number" or end.isdecimal():
                number, protos = token.value if token.kind == "number" else int(end[:9]), PORTED
            elif found := service(end):
                number, protos = found
                if q.proto and q.proto not in protos:
                    raise FilterError(f"{end!r} is a port of {' and '.join(protos)}", token.at)
            else:
                raise FilterError(f"no port is known as {end[:40]!r}", token.at)
            own.add(protos[0] if len(protos) == 1 else "")
            if number > 65535:
                raise FilterError(f"{end[:40]} is no port, as it is more than 65535", token.at)
            numbers.append(number)
        proto = q.proto or (own.pop() if len(own) == 1 else "")
        return Ask("port", (proto, q.dir, min(numbers), max(numbers) if q.type == "portrange" else None), token.at)

    def proto(self, q: Qualifiers, token: Token) -> Test:
        if token.kind == "number":
            return Ask("proto", (q.proto, token.value), token.at)
        names = {"": PROTOCOLS, "ip": PROTOCOLS, "ip6": PROTOCOLS, "link": ETHERTYPES, "iso": ISO}.get(q.proto, {})
        if token.text not in names:
            raise FilterError(f"no protocol {q.proto and 'of ' + q.proto + ' '}is known as {token.text[:40]!r}", token.at)
        return Ask("proto", (q.proto, names[token.text]), token.at)

    def ipv4(self, q: Qualifiers, token: Token) -> Test:
        parts = token.text.split(".") if token.kind == "ipv4" else []
        if q.proto == "decnet" and q.type != "net":
            return self.decnet(q, token)
        number, bits = _dotted(token, "IPv4 address") if parts else token.value, 8 * len(parts) or 32
        if not parts and q.type == "net":  # net 10: as many bytes as are not 0
            while number and number < 1 << 24:
                number, bits = number << 8, bits - 8
        elif parts and self.next.kind in ("/", "mask"):
            bits = -1
        mask = 0xFFFFFFFF << 32 - bits & 0xFFFFFFFF if bits >= 0 else self.mask(token)
        if bits < 0 and q.type != "net":
            raise FilterError("a mask is for `net` only", token.at)
        if number & ~mask:
            raise FilterError(f"{token.text} has bits set beyond its mask", token.at)
        self.of_host(q, "ip", token)
        return Ask("host", (q.proto, q.dir, number, mask), token.at)

    def mask(self, token: Token) -> int:
        """/24 or mask 255.255.255.0, which follow."""
        if self.take().kind == "/":
            length = self.expect("a prefix length", "number")
            if length.value > 32:
                raise FilterError("a prefix longer than 32 bits", length.at)
            return 0xFFFFFFFF << 32 - length.value & 0xFFFFFFFF
        return _dotted(self.expect("a mask", "ipv4"), "mask")

    def decnet(self, q: Qualifiers, token: Token) -> Test:
        area, _, node = token.text.partition(".") if token.kind == "ipv4" else (str(token.value >> 10), "", str(token.value & 0x3FF))
        if not area.isdecimal() or not node.isdecimal() or max(len(area), len(node)) > 5 or int(area) > 63 or int(node) > 1023:
            raise FilterError(f"{token.text[:40]} is no DECnet address", token.at)
        return Ask("decnet", (q.dir, int(area) << 10 | int(node)), token.at)

    def ipv6(self, q: Qualifiers, token: Token) -> Test:
        bits = 128
        if self.taken("/"):
            length = self.expect("a prefix length", "number")
            bits = length.value
            if q.type != "net":
                raise FilterError("a prefix length is for `net` only", length.at)
            if bits > 128:
                raise FilterError("a prefix longer than 128 bits", length.at)
        number, mask = int(IPv6Address(token.text)), (1 << 128) - (1 << 128 - bits)
        if number & ~mask:
            raise FilterError(f"{token.text} has bits set beyond its prefix", token.at)
        self.of_host(q, "ip6", token)
        return Ask("host6", (q.dir, number, mask), token.at)

    @staticmethod
    def of_host(q: Qualifiers, family: str, token: Token) -> None:
        if q.proto not in (("", "ip", "arp", "rarp") if family == "ip" else ("", "ip6")):
            what = "no Ethernet address" if q.proto == "link" else f"an address that {q.proto} does not go with"
            raise FilterError(f"{token.text[:60]} is {what}", token.at)

    # Numbers

    def relation(self) -> Test:
        at, self.operators = self.next.at, 0
        a = self.arithmetic(0)
        sign = self.expect("a comparison, such as = or >", *RELATIONS)
        operator, opposite = RELATIONS[sign.kind]
        return Ask("relation", (operator, opposite, a, self.arithmetic(0)), at)

    def arithmetic(self, level: int) -> Arithmetic:
        """What binds closer than `level`."""
        with self.deeper():
            a = self.term()
            while LEVELS.get(self.next.kind, 0) > level:
                sign = self.take()
                self.operators += 1
                if self.operators > DEEPEST:
                    raise FilterError(f"more than {DEEPEST} operators in one comparison", sign.at)
                a = Operation(sign.kind, a, self.arithmetic(0 if sign.kind in "%^" else LEVELS[sign.kind]), sign.at)
        return a

    def term(self) -> Arithmetic:
        token = self.take()
        match token.kind:
            case "number":
                return token.value
            case "len":
                return "len"
            case "-":
                return Operation("negative", self.arithmetic(8), 0, token.at)
            case "(":
                inside = self.arithmetic(0)
                self.expect("an operator or ')'", ")")
                return inside
        if token.kind in PROTOS and self.taken("["):
            index = self.arithmetic(0)
            size = self.expect("a size", "number").value if self.taken(":") else 1
            self.expect("':' or ']'", "]")
            if size not in (1, 2, 4):
                raise FilterError(f"{size} bytes cannot be read at once, only 1, 2 or 4", token.at)
            return Field(token.kind, index, size, token.at)
        self.place -= token.kind != "end"
        raise self.unexpected("a number")


def _dotted(token: Token, what: str) -> int:
    """One to four decimal bytes as the upper part of 32 bits."""
    parts = token.text.split(".")
    if any(not p.isdecimal() or len(p) > 9 or int(p) > 255 for p in parts):
        raise FilterError(f"{token.text[:40]} is no {what}", token.at)
    return int.from_bytes(bytes(map(int, parts)).ljust(4, b"\0"))
