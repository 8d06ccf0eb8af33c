"""The words of pcap-filter: an expression cut into tokens, and the names that stand for numbers.

Cut as libpcap's scanner does: the longest token wins, so that `len-20` is one name and `len - 20` three tokens.
Source: pcap-filter(7); IANA's registries of services and protocols.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import NamedTuple

from ..ports import named
from ..terms import PcapnatError

LONGEST, DEEPEST = 20_000, 60
"""Characters of an expression; parentheses and operators within one another."""


class FilterError(PcapnatError):
    """An expression that cannot be used; at: the character it fails at, counted from 0."""

    def __init__(self, what: str, at: int):
        super().__init__(f"-f: {what}, at character {at + 1}")


class LinkError(FilterError):
    """As FilterError, but only on some link types."""


class Token(NamedTuple):
    """kind: a word or sign of the grammar, or number, ipv4, ipv6, mac, name, end. value: a number's. partner: where the ")" of a "(" is."""

    kind: str
    text: str
    at: int
    value: int = 0
    partner: int = -1


def _each(words: str, what: str = "") -> dict[str, str]:
    return {word: what or word for word in words.split()}


WORDS = _each("""
dst src ip arp rarp sctp tcp udp icmp igmp igrp pim vrrp carp radio ip6 icmp6 ah esp atalk aarp decnet lat sca moprc mopdl iso esis isis
l1 l2 iih lsp snp csnp psnp clnp stp ipx netbeui host net mask port portrange proto protochain gateway less greater byte broadcast
multicast and or not len inbound outbound ifindex vlan mpls pppoed pppoes geneve llc rnr
""")
WORDS |= _each("link ether ppp slip fddi tr wlan", "link")
WORDS |= {"&&": "and", "||": "or", "!": "not", "==": "=", "es-is": "esis", "is-is": "isis", "length": "len", "rulenum": "rnr"}
REFUSED = _each("type subtype direction dir ra ta", "802.11 frame types")
REFUSED |= {f"{word}{n}": "802.11 addresses" for word in ("addr", "address") for n in (1, 2, 3, 4)}
REFUSED |= _each("lane metac bcc oam oamf4 oamf4ec oamf4sc sc ilmic vpi vci connectmsg metaconnect", "ATM")
REFUSED |= _each("fisu lssu lsu msu hfisu hlssu hmsu sio opc dpc sls hsio hopc hdpc hsls", "SS7")
REFUSED |= _each("on ifname rset ruleset srnr subrulenum reason action", "pf")
REFUSED |= {"vxlan": "VXLAN", "batadv": "batman-adv"}
"""Words of the language that ask for what is not looked at here."""

CONSTANTS = {
    "icmptype": 0, "icmpcode": 1, "icmp-echoreply": 0, "icmp-unreach": 3, "icmp-sourcequench": 4, "icmp-redirect": 5, "icmp-echo": 8,
    "icmp-routeradvert": 9, "icmp-routersolicit": 10, "icmp-timxceed": 11, "icmp-paramprob": 12, "icmp-tstamp": 13,
    "icmp-tstampreply": 14, "icmp-ireq": 15, "icmp-ireqreply": 16, "icmp-maskreq": 17, "icmp-maskreply": 18, "icmp6type": 0,
    "icmp6code": 1, "icmp6-destinationunreach": 1, "icmp6-packettoobig": 2, "icmp6-timeexceeded": 3, "icmp6-parameterproblem": 4,
    "icmp6-multicastrouteradvert": 151, "icmp6-multicastroutersolicit": 152, "icmp6-multicastrouterterm": 153, "tcpflags": 13,
    "tcp-fin": 1, "tcp-syn": 2, "tcp-rst": 4, "tcp-push": 8, "tcp-ack": 16, "tcp-urg": 32, "tcp-ece": 64, "tcp-cwr": 128,
}  # fmt: skip
_FROM_128 = """echo echoreply multicastlistenerquery multicastlistenerreportv1 multicastlistenerdone routersolicit routeradvert
neighborsolicit neighboradvert redirect routerrenum nodeinformationquery nodeinformationresponse ineighbordiscoverysolicit
ineighbordiscoveryadvert multicastlistenerreportv2 homeagentdiscoveryrequest homeagentdiscoveryreply mobileprefixsolicit
mobileprefixadvert certpathsolicit certpathadvert"""
CONSTANTS |= {f"icmp6-{name}": 128 + i for i, name in enumerate(_FROM_128.split())}

ETHERTYPES = {
    "ip": 0x800, "ip6": 0x86DD, "arp": 0x806, "rarp": 0x8035, "atalk": 0x809B, "aarp": 0x80F3, "decnet": 0x6003, "lat": 0x6004,
    "sca": 0x6007, "mopdl": 0x6001, "moprc": 0x6002, "loopback": 0x9000, "iso": 0xFE, "stp": 0x42, "ipx": 0xE0, "netbeui": 0xF0,
}  # fmt: skip
"""Ethernet types, and LLC service access points below 1501."""
ISO = {"clnp": 0x81, "esis": 0x82, "isis": 0x83}
PROTOCOLS = {
    "ip": 0, "hopopt": 0, "icmp": 1, "igmp": 2, "ggp": 3, "ipencap": 4, "st": 5, "tcp": 6, "egp": 8, "igp": 9, "pup": 12, "udp": 17,
    "hmp": 20, "xns-idp": 22, "rdp": 27, "iso-tp4": 29, "dccp": 33, "xtp": 36, "ddp": 37, "idpr-cmtp": 38, "ipv6": 41, "ipv6-route": 43,
    "ipv6-frag": 44, "idrp": 45, "rsvp": 46, "gre": 47, "esp": 50, "ah": 51, "skip": 57, "ipv6-icmp": 58, "ipv6-nonxt": 59,
    "ipv6-opts": 60, "rspf": 73, "vmtp": 81, "eigrp": 88, "ospf": 89, "ax.25": 93, "ipip": 94, "etherip": 97, "encap": 98, "pim": 103,
    "ipcomp": 108, "vrrp": 112, "l2tp": 115, "isis": 124, "sctp": 132, "fc": 133, "mobility-header": 135, "udplite": 136,
    "mpls-in-ip": 137, "manet": 138, "hip": 139, "shim6": 140, "wesp": 141, "rohc": 142,
}  # fmt: skip
_SERVICES = {
    "tcp": """tcpmux 1 systat 11 netstat 15 qotd 17 ftp-data 20 ftp 21 ssh 22 telnet 23 smtp 25 mail 25 whois 43 gopher 70 finger 79
        http 80 www 80 iso-tsap 102 pop3 110 pop-3 110 auth 113 ident 113 nntp 119 epmap 135 loc-srv 135 netbios-ssn 139 imap2 143
        imap 143 bgp 179 microsoft-ds 445 submissions 465 exec 512 login 513 shell 514 printer 515 ipp 631 submission 587 nntps 563
        ftps-data 989 ftps 990 telnets 992 imaps 993 pop3s 995 rsync 873 socks 1080 ms-sql-s 1433 cisco-sccp 2000 iscsi-target 3260
        mysql 3306 ms-wbt-server 3389 svn 3690 xmpp-client 5222 xmpp-server 5269 postgresql 5432 postgres 5432 amqps 5671 x11 6000
        redis 6379 syslog-tls 6514 ircd 6667 http-alt 8080 webcache 8080 https-alt 8443 git 9418 webmin 10000""",
    "udp": """fsp 21 bootps 67 bootpc 68 tftp 69 ntp 123 netbios-ns 137 netbios-dgm 138 xdmcp 177 isakmp 500 biff 512 who 513 talk 517
        ntalk 518 route 520 router 520 ptp-event 319 ptp-general 320 dhcpv6-client 546 dhcpv6-server 547 asf-rmcp 623 ms-sql-m 1434
        l2f 1701 l2tp 1701 ssdp 1900 mdns 5353 ipsec-nat-t 4500 iax 4569""",
    "tcp udp": """echo 7 discard 9 daytime 13 chargen 19 time 37 tacacs 49 domain 53 kerberos 88 sunrpc 111 portmapper 111 snmp 161
        snmp-trap 162 snmptrap 162 ldap 389 svrloc 427 https 443 kpasswd 464 syslog 514 rtsp 554 ldp 646 ldaps 636 domain-s 853
        openvpn 1194 radius 1812 radius-acct 1813 nfs 2049 stun 3478 sip 5060 sip-tls 5061 amqp 5672""",
}


def service(name: str) -> tuple[int, tuple[str, ...]] | None:
    """(port, protocols) of a service name; None if it is not known."""
    for protos, services in _SERVICES.items():
        pairs = services.split()
        if name in pairs[::2]:
            return int(pairs[2 * pairs[::2].index(name) + 1]), tuple(protos.split())
    return named(name)


_B, _B2, _N = "[0-9A-Fa-f]{1,2}", "[0-9A-Fa-f]{4}", "(?:0[xX][0-9A-Fa-f]+|[0-9]+)"
TOKENS = tuple(
    (kind, re.compile(form))
    for kind, form in (
        ("mac", f"{_B}(?::{_B}){{5}}|{_B}(?:-{_B}){{5}}|{_B}(?:\\.{_B}){{5}}|{_B2}(?:\\.{_B2}){{2}}|(?:{_B2}){{3}}"),
        ("number", _N),
        ("ipv4", f"{_N}(?:\\.{_N}){{1,3}}"),
        ("ipv6", r"[0-9A-Fa-f:]{0,40}:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]{0,40}"),
        ("name", "[A-Za-z0-9](?:[-_.A-Za-z0-9]*[.A-Za-z0-9])?"),
        ("escaped", r"\\[^ !()\n\t]+"),
        ("sign", r"&&|\|\||>=|<=|!=|==|<<|>>|[-+*/%:\[\]!<>()&|^=]"),
    )
)
BLANK = re.compile(r"[ \r\n\t]*")


def tokens(text: str) -> list[Token]:
    """An expression cut up, ended by an "end". Raises FilterError."""
    if len(text) > LONGEST:
        raise FilterError(f"longer than {LONGEST} characters", LONGEST)
    found: list[Token] = []
    opened: list[int] = []
    at = 0
    while True:
        blank = BLANK.match(text, at)
        at = blank.end() if blank else at
        if at == len(text):
            break
        token = _token(text, at)
        if token.kind == "(":
            opened.append(len(found))
        elif token.kind == ")" and opened:
            start = opened.pop()
            found[start] = found[start]._replace(partner=len(found))
        found.append(token)
        at += len(token.text) + (token.kind == "name" and text[at] == "\\")
    if opened:
        raise FilterError("a parenthesis that is not closed", found[opened[-1]].at)
    return [*found, Token("end", "the end", len(text))]


def _token(text: str, at: int) -> Token:
    best, kind = "", ""
    for name, form in TOKENS:
        if (match := form.match(text, at)) and len(match[0]) > len(best) and (name != "ipv6" or _is_ipv6(match[0])):
            best, kind = match[0], name
    if not best:
        raise FilterError(f"{text[at]!r} is not part of the language", at)
    if kind == "name" and best in CONSTANTS:
        return Token("number", best, at, CONSTANTS[best])
    if kind == "name" and best in REFUSED:
        raise FilterError(f"{best!r} asks for {REFUSED[best]}, which is not looked at here (-Y may help)", at)
    if kind in ("name", "sign"):
        return Token(WORDS.get(best, "name" if kind == "name" else best), best, at)
    if kind == "escaped":
        return Token("name", best[1:], at)
    return Token(kind, best, at, _number(best, at) if kind == "number" else 0)


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _number(text: str, at: int) -> int:
    """A number as C has them: hexadecimal after 0x, octal after 0."""
    hexadecimal, octal = text[:2] in ("0x", "0X"), text[0] == "0"
    if octal and not hexadecimal and not set(text) <= set("01234567"):
        raise FilterError(f"{text[:40]} is no octal number", at)
    value = int(text, 16 if hexadecimal else 8) if octal else int(text[:40])
    if value > 0xFFFFFFFF:
        raise FilterError(f"{text[:40]} is more than 32 bits", at)
    return value
