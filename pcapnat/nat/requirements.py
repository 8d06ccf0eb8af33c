"""The requirements of RFC 4787, 5382, 5508, 6888 and 7857 for NATs: number, level, and what is demanded, in our words.

RFC 7857 has no numbers: its rows have those of its sections. `unseen` says why captures alone do not decide a row, for rows
that nothing decides (conformance.py has the others).
"""

from __future__ import annotations

from dataclasses import dataclass

CONFIGURED = "a matter of configuration: captures do not show what could be set"
OPTIONAL = "optional: nothing to meet or violate"


@dataclass(frozen=True)
class Requirement:
    """One row. id: RFC and number; level: MUST, MUST NOT, SHOULD, SHOULD NOT, RECOMMENDED or MAY."""

    id: str
    level: str
    says: str
    unseen: str = ""

    @property
    def optional(self) -> bool:
        """Whether it leaves the NAT free."""
        return self.level == "MAY"


def _rfc(rfc: int, *rows: tuple[str, str, str] | tuple[str, str, str, str]) -> tuple[Requirement, ...]:
    return tuple(Requirement(f"RFC{rfc} {number}", level, says, *rest) for number, level, says, *rest in rows)


REQUIREMENTS: tuple[Requirement, ...] = (
    *_rfc(
        4787,
        ("REQ-1", "MUST", "a UDP socket keeps one outside endpoint whatever it talks to (endpoint-independent mapping)"),
        ("REQ-2", "RECOMMENDED", "where there are several outside addresses, a host has one for all its mappings (paired)"),
        ("REQ-3", "MUST NOT", "two UDP sockets inside share an outside endpoint at a time (port overloading)"),
        ("REQ-3a", "RECOMMENDED", "UDP ports up to 1023 are translated to such, and higher ones to higher ones"),
        ("REQ-4", "RECOMMENDED", "even UDP ports become even ones, odd ports odd ones"),
        ("REQ-5", "MUST NOT", "a UDP mapping expires in less than 2 minutes (towards system ports it may, REQ-5a)"),
        ("REQ-5b", "MAY", "the UDP timer can be set", CONFIGURED),
        ("REQ-5c", "RECOMMENDED", "a UDP mapping lives 5 minutes or longer by default"),
        ("REQ-6", "MUST", "packets outwards keep a UDP mapping alive"),
        ("REQ-6a", "MAY", "packets inwards keep it alive as well"),
        ("REQ-7", "MUST", "a NAT whose outside address is given to it copes with a clash of inside and outside prefixes",
         "whether such a clash would be survived does not show"),
        ("REQ-8", "RECOMMENDED", "UDP filtering is endpoint-independent, or address-dependent where strictness matters more"),
        ("REQ-8a", "MAY", "the filtering can be set", CONFIGURED),
        ("REQ-9", "MUST", "a host inside reaches another one by its outside endpoint (hairpinning, UDP)"),
        ("REQ-9a", "MUST", "what is hairpinned comes from the sender's outside endpoint (UDP)"),
        ("REQ-10", "SHOULD", "payloads of UDP stay as they are (gateways for applications are off)"),
        ("REQ-10a", "RECOMMENDED", "each application's gateway can be switched by itself", CONFIGURED),
        ("REQ-11", "MUST", "mapping and filtering never change their behavior, whatever happens"),
        ("REQ-12", "MUST NOT", "an ICMP message ends a UDP mapping"),
        ("REQ-12a", "SHOULD NOT", "ICMP errors are kept out for where they come from"),
        ("REQ-12b", "RECOMMENDED", "ICMP destination unreachable about UDP passes"),
        ("REQ-13", "MUST", "who sends a packet that is too big and must not be fragmented is told by ICMP"),
        ("REQ-13a", "MUST", "a packet that is too big and may be fragmented is"),
        ("REQ-14", "MUST", "fragments that arrive out of order pass"),
        ("REQ-14a", "MUST", "waiting for fragments opens no way to exhaust the NAT", "a matter of how it is built"),
    ),
    *_rfc(
        5382,
        ("REQ-1", "MUST", "a TCP socket keeps one outside endpoint whatever it talks to (endpoint-independent mapping)"),
        ("REQ-2", "MUST", "every valid order of TCP segments passes, simultaneous open among them"),
        ("REQ-3", "RECOMMENDED", "TCP filtering is endpoint-independent, or address-dependent where strictness matters more"),
        ("REQ-3a", "MAY", "the filtering can be set", CONFIGURED),
        ("REQ-3b", "MAY", "filtering of TCP and of UDP differ", OPTIONAL),
        ("REQ-4", "MUST NOT", "an unsolicited SYN from outside is answered within 6 s"),
        ("REQ-5", "MUST NOT", "an idle TCP connection is forgotten in less than 2 h 4 min, one that opens or closes in less than 4 min"),
        ("REQ-5a", "MAY", "these times can be set", CONFIGURED),
        ("REQ-6", "RECOMMENDED", "payloads of TCP stay as they are, except FTP's (gateways for applications are off)"),
        ("REQ-7", "MUST NOT", "two TCP sockets inside share an outside endpoint at a time (port overloading)"),
        ("REQ-8", "MUST", "a host inside reaches another one by its outside endpoint (hairpinning, TCP)"),
        ("REQ-8a", "MUST", "what is hairpinned comes from the sender's outside endpoint (TCP)"),
        ("REQ-9", "SHOULD", "ICMP destination unreachable about TCP is translated and passes"),
        ("REQ-10", "MUST NOT", "an ICMP message ends a TCP mapping or connection"),
    ),
    *_rfc(
        5508,
        ("REQ-1", "MUST", "ICMP queries from inside pass, and so do their answers"),
        ("REQ-1a", "SHOULD", "a query's identifier is translated alike whatever host is asked"),
        ("REQ-2", "MUST NOT", "an ICMP query's mapping expires in less than 60 s"),
        ("REQ-2a", "RECOMMENDED", "this time can be set", CONFIGURED),
        ("REQ-3", "SHOULD", "ICMP errors with a wrong checksum are dropped", "no error with a wrong checksum is looked for"),
        ("REQ-4", "MUST", "an ICMP error from outside about a mapping passes: quoted packet and addressee as inside, type and code kept"),
        ("REQ-5", "MUST", "an ICMP error from inside about a mapping passes: quoted packet and sender as outside, type and code kept"),
        ("REQ-6", "MUST NOT", "an ICMP error about a query renews or ends its mapping"),
        ("REQ-7", "MUST", "hairpinned ICMP errors are translated, too"),
        ("REQ-8", "SHOULD", "who gets no mapping is told by ICMP destination unreachable, administratively prohibited"),
        ("REQ-9", "MAY", "a policy decides which errors the NAT sends", CONFIGURED),
        ("REQ-10a", "MUST", "destination unreachable, time exceeded, echo and its reply pass"),
        ("REQ-10b", "MAY", "other ICMP messages of hosts and routers pass", OPTIONAL),
        ("REQ-11", "MAY", "ICMP that is neither query nor error is dropped", OPTIONAL),
    ),
    *_rfc(
        6888,
        ("REQ-1", "MUST", "what RFC 4787, 5382 and 5508 demand, for each protocol that it translates"),
        ("REQ-2", "MUST", "a subscriber has one outside address for all mappings by default (paired)"),
        ("REQ-3", "SHOULD", "nothing limits which addresses the pool is made of", CONFIGURED),
        ("REQ-4", "MUST", "how many outside ports a subscriber has at a time is limited"),
        ("REQ-5", "SHOULD", "the memory that a subscriber takes is limited", CONFIGURED),
        ("REQ-6", "MUST", "translation can be switched off for some destinations", CONFIGURED),
        ("REQ-7", "RECOMMENDED", "filtering is endpoint-independent, or address-dependent"),
        ("REQ-8", "SHOULD NOT", "an outside port goes to another subscriber within 2 min of its last use, where late packets would get in"),
        ("REQ-9", "MUST", "hosts can ask for a mapping: a port control protocol is spoken"),
        ("REQ-10", "SHOULD", "it can be managed by standard means", "a matter of management: nothing of it is traffic of the subscribers"),
        ("REQ-11", "MUST", "what gets no mapping is dropped, its sender is told by ICMP, and no other mapping is given up for it"),
        ("REQ-12", "SHOULD NOT", "destinations are logged", "logs are not captured"),
        ("REQ-13", "SHOULD", "ports are given out so as to use as many as possible", "rivals with REQ-14 and REQ-15; a matter of choice"),
        ("REQ-14", "SHOULD", "ports are given out so as to keep logs small", "rivals with REQ-13 and REQ-15; a matter of choice"),
        ("REQ-15", "SHOULD", "outside ports cannot be guessed"),
    ),
    *_rfc(
        7857,
        ("2", "SHOULD", "TCP connections are followed as RFC 6146 3.5.2 says", "states do not show; what follows from them is 2.1 and 2.2"),
        ("2.1", "SHOULD", "opening and closing connections have a timer of their own, by default of 4 min"),
        ("2.2", "MUST", "a TCP reset that passes is translated like other segments"),
        ("3", "MAY", "one outside endpoint serves several sockets towards different destinations (port overlapping)"),
        ("4", "SHOULD", "pooling is paired for TCP and ICMP, too"),
        ("5", "SHOULD", "mappings of TCP and of UDP are separate"),
        ("6", "SHOULD", "filters of TCP and of UDP are separate", "nobody was seen to try one protocol's door with the other"),
        ("7", "SHOULD", "packets inwards keep a mapping alive only if they pass its filter",
         "takes a timer and refused packets just before its end"),
        ("7.1", "SHOULD NOT", "errors and resets that answer packets from outside keep a mapping alive",
         "takes a timer and such an error just before its end"),
        ("8", "SHOULD", "keeping ports even or odd is off by default"),
        ("9", "SHOULD", "outside ports are chosen at random (RFC 6056)"),
        ("10", "SHOULD", "IP identifications of one source are not used twice for packets that may be fragmented",
         "which packets are atomic is not looked at"),
        ("11", "MAY", "an ICMP query's mapping ends with its last session", OPTIONAL),
        ("12", "SHOULD", "pings are hairpinned by all NATs"),
    ),
)  # fmt: skip
BY_ID = {row.id: row for row in REQUIREMENTS}
assert len(BY_ID) == len(REQUIREMENTS)
