"""What a message is, by its first bytes: the ones whose content is read, and the ones that are only recognised.

A port number is never enough: nothing is called DNS that does not begin as DNS does. Signatures are fixed bytes of the
protocols' own specifications; what has none that is reliable is left unknown.
"""

from enum import IntEnum
from typing import Any

from ..kernel import cold, inner, load16, load32


class Topic(IntEnum):
    """Kinds of messages. Those of READ have their content read, the others are only recognised."""

    ARP = 1
    NDP = 2
    STP = 3
    LLDP = 4
    CDP = 5
    DHCP = 6
    DHCPV6 = 7
    DNS = 8
    MDNS = 9
    LLMNR = 10
    NBNS = 11
    TLS = 12
    HTTP = 13
    SMB = 14
    STUN = 15
    FTP = 16
    SIP = 17
    SSH = 18
    QUIC = 19
    NTP = 20
    SMTP = 21
    POP3 = 22
    IMAP = 23
    RDP = 24
    SSDP = 25
    WIREGUARD = 26
    RTSP = 27
    BITTORRENT = 28
    IKE = 29
    TFTP = 30
    SOCKS = 31
    MSRPC = 32
    VNC = 33
    DTLS = 34
    MYSQL = 35
    POSTGRESQL = 36
    REDIS = 37
    MQTT = 38
    SNMP = 39
    SYSLOG = 40
    DNS_TCP = 41
    """DNS with a length before it."""

    @property
    def label(self) -> str:
        """The protocol's usual name."""
        return LABELS[self]


LABELS = {int(topic): "dns" if topic == Topic.DNS_TCP else topic.name.lower() for topic in Topic}
READ = frozenset({*list(Topic)[:18], Topic.DNS_TCP})
(
    ARP,
    NDP,
    STP,
    LLDP,
    CDP,
    DHCP,
    DHCPV6,
    DNS,
    MDNS,
    LLMNR,
    NBNS,
    TLS,
    HTTP,
    SMB,
    STUN,
    FTP,
    SIP,
    SSH,
    QUIC,
    NTP,
    SMTP,
    POP3,
    IMAP,
    RDP,
    SSDP,
    WIREGUARD,
    RTSP,
    BITTORRENT,
    IKE,
    TFTP,
    SOCKS,
    MSRPC,
    VNC,
    DTLS,
    MYSQL,
    POSTGRESQL,
    REDIS,
    MQTT,
    SNMP,
    SYSLOG,
    DNS_TCP,
) = (int(t) for t in Topic)
NOT_KNOWN = 0


@inner
def dns(buf: Any, at: int, size: int) -> bool:
    """A DNS header that makes sense (RFC 1035 4.1.1): a known opcode, no reserved bit, few questions, and something in it."""
    if size < 12:
        return False
    bits = load16(buf, at + 2)
    questions = load16(buf, at + 4)
    answers = load16(buf, at + 6)
    if bits >> 11 & 15 > 6 or bits & 0x40 or questions > 16:
        return False
    if questions + answers == 0:
        return size == 12 or bits >> 15 == 1
    return answers <= 512 and load16(buf, at + 8) <= 512 and load16(buf, at + 10) <= 512


@inner
def asks(buf: Any, at: int, size: int) -> bool:
    """One question and nothing else but EDNS, to the last byte: DNS whatever its port (RFC 1035 4.1.2, RFC 6891 6.1.2)."""
    if size < 17 or load16(buf, at + 2) & 0xFECF or load32(buf, at + 4) != 0x10000 or load32(buf, at + 8) > 1:
        return False
    end = at + size
    name = at + 12
    for _ in range(128):
        if name >= end or buf[name] > 63 or buf[name] == 0:
            break
        name += 1 + buf[name]
    if name + 5 > end or buf[name] or name - at > 267:
        return False
    if load16(buf, name + 3) & 0x7FFF != 1 or load16(buf, name + 1) == 0:
        return False
    if buf[at + 11] == 0:
        return name + 5 == end
    return name + 16 <= end and buf[name + 5] == 0 and load16(buf, name + 6) == 41


@inner
def stun(buf: Any, at: int, have: int, size: int) -> bool:
    """A STUN message: its magic cookie (RFC 8489 5), or one of the messages and the length of RFC 3489, which had none."""
    if have < 20 or buf[at] > 0x3F or load16(buf, at + 2) & 3:
        return False
    if load32(buf, at + 4) == 0x2112A442:
        return True
    kind = load16(buf, at)
    return (kind == 1 or kind == 2 or kind == 0x101 or kind == 0x102 or kind == 0x111 or kind == 0x112) and load16(buf, at + 2) == size - 20


@inner
def dhcp(buf: Any, at: int, have: int, size: int) -> bool:
    """A DHCP message: its magic cookie, or if the capture cut it off, the BOOTP header of a whole one (RFC 2131 2)."""
    if have >= 240:
        return load32(buf, at + 236) == 0x63825363
    return have >= 28 and size >= 240 and 1 <= buf[at] <= 2 and buf[at + 2] <= 16


@inner
def snmp(buf: Any, at: int, size: int) -> bool:
    """A sequence that begins with the version of SNMP: 0, 1 or 3 (RFC 3416, RFC 3412)."""
    if size < 8 or buf[at] != 0x30:
        return False
    if buf[at + 1] & 0x80:
        at += buf[at + 1] & 3
    return load16(buf, at + 2) == 0x201 and (buf[at + 4] < 2 or buf[at + 4] == 3)


@cold
def datagram(buf: Any, at: int, have: int, size: int, sport: int, dport: int) -> int:
    """The topic of a UDP datagram's payload buf[at : at + have], `size` long on the wire; NOT_KNOWN if nothing fits."""
    if sport == 53 or dport == 53:
        return DNS if dns(buf, at, have) else NOT_KNOWN
    if sport == 5353 or dport == 5353:
        return MDNS if dns(buf, at, have) else NOT_KNOWN
    if sport == 5355 or dport == 5355:
        return LLMNR if dns(buf, at, have) else NOT_KNOWN
    if dport == 137 or sport == 137:
        return NBNS if have >= 12 else NOT_KNOWN
    if dport == 67 or dport == 68 or dport == 4011:
        return DHCP if dhcp(buf, at, have, size) else NOT_KNOWN
    if dport == 546 or dport == 547:
        return DHCPV6 if have >= 4 and 1 <= buf[at] <= 36 else NOT_KNOWN
    if sport == 123 or dport == 123:
        return NTP if have >= 12 and 1 <= buf[at] >> 3 & 7 <= 4 and (size >= 48 or buf[at] & 7 >= 6) else NOT_KNOWN
    if have < 4:
        return NOT_KNOWN
    if stun(buf, at, have, size):
        return STUN
    first = load32(buf, at)
    if buf[at] & 0x80 and have >= 22:  # a long header (RFC 9000 17.2); the other fixed bit may be greased (RFC 9287)
        version = load32(buf, at + 1)
        if buf[at + 5] <= 20 and (
            version == 1  # RFC 9000
            or version == 0x6B3343CF  # RFC 9369
            or version >> 8 == 0xFF0000  # drafts
            or version >> 8 == 0x513034  # Google's
            or version >> 8 == 0x513035
        ):
            return QUIC
    # WireGuard 5.4: initiation, response, cookie; data alone is told by its port and its length.
    if (first == 0x01000000 and size == 148) or (first == 0x02000000 and size == 92) or (first == 0x03000000 and size == 64):
        return WIREGUARD
    if first == 0x04000000 and size >= 32 and size & 15 == 0 and (sport == 51820 or dport == 51820):
        return WIREGUARD
    if 20 <= buf[at] <= 25 and have >= 13 and (load16(buf, at + 1) == 0xFEFD or load16(buf, at + 1) == 0xFEFF):
        return DTLS
    if (sport == 500 or dport == 500) and ike(buf, at, have, size):
        return IKE
    if (sport == 4500 or dport == 4500) and first == 0 and ike(buf, at + 4, have - 4, size - 4):  # RFC 3948 2.2
        return IKE
    if dport == 69 and buf[at] == 0 and 1 <= buf[at + 1] <= 2:
        return TFTP
    if (sport == 161 or dport == 161 or dport == 162) and snmp(buf, at, have):
        return SNMP
    if dport == 514 and buf[at] == 0x3C and 0x30 <= buf[at + 1] <= 0x39:
        return SYSLOG
    if sport == 1900 and first == 0x48545450:  # an answer to a search
        return SSDP
    what = lines(buf, at, have, first)
    return DNS if what == NOT_KNOWN and asks(buf, at, have) else what


@inner
def ike(buf: Any, at: int, have: int, size: int) -> bool:
    """An IKE header of version 1 or 2 with the right length (RFC 7296 3.1)."""
    return have >= 28 and 1 <= buf[at + 17] >> 4 <= 2 and load32(buf, at + 24) == size


@inner
def lines(buf: Any, at: int, size: int, first: int) -> int:
    """SIP, RTSP or SSDP, whose lines look alike: a method followed by " sip:" or " rtsp:", or the version of a response."""
    if size < 12:
        return NOT_KNOWN
    if first == 0x5349502F:  # SIP/
        return SIP
    if first == 0x52545350:  # RTSP
        return RTSP
    if first == 0x4D2D5345:  # M-SE(ARCH)
        return SSDP
    if first == 0x4E4F5449 and load32(buf, at + 7) != 0x7369703A:  # NOTI(FY), but not "NOTIFY sip:"
        return SSDP
    if letter(buf[at]) and letter(buf[at + 1]) and letter(buf[at + 2]):
        for k in range(3, 10):
            if buf[at + k] == 0x20:
                if k + 5 > size:
                    break
                scheme = load32(buf, at + k + 1)
                if scheme == 0x7369703A or scheme == 0x73697073 or scheme == 0x74656C3A:  # sip: sips tel:
                    return SIP
                if scheme == 0x72747370:  # rtsp
                    return RTSP
                break
    return NOT_KNOWN


@inner
def letter(byte: int) -> bool:
    """A capital letter."""
    return 0x41 <= byte <= 0x5A


@inner
def greeting(buf: Any, at: int, size: int, sport: int) -> int:
    """FTP or SMTP: what a line that begins with 220 comes from, by its port, or by its text where the port does not tell."""
    if sport == 21 or sport == 2121:
        return FTP
    if sport == 25 or sport == 587 or sport == 2525:
        return SMTP
    found = NOT_KNOWN
    stop = size - 2 if size < 90 else 88
    for k in range(4, stop):
        three = load32(buf, at + k - 1) & 0xDFDFDF  # letters made large
        if three == 0x534D54:  # SMT(P)
            return SMTP
        if three == 0x465450:  # FTP
            found = FTP
    return found


@inner
def http(first: int) -> bool:
    """How HTTP begins: a method's first four bytes, a response's version, or the preface of HTTP/2."""
    return (
        first == 0x47455420  # GET
        or first == 0x504F5354  # POST
        or first == 0x48454144  # HEAD
        or first == 0x50555420  # PUT
        or first == 0x44454C45  # DELE(TE)
        or first == 0x434F4E4E  # CONN(ECT)
        or first == 0x48545450  # HTTP
        or first == 0x50415443  # PATC(H)
        or first == 0x50524F50  # PROP(FIND)
        or first == 0x50524920  # PRI
    )


@cold
def segment(buf: Any, at: int, size: int, sport: int, dport: int) -> int:
    """The topic of what a TCP connection says first, in either direction, buf[at:at+size]; NOT_KNOWN if nothing fits."""
    if size < 4:
        return NOT_KNOWN
    first = load32(buf, at)
    if size >= 6 and first >> 16 == 0x1603 and buf[at + 2] <= 4 and buf[at + 5] <= 2:
        return TLS
    if first == 0x5353482D:  # SSH-
        return SSH
    if http(first):
        return HTTP
    if size >= 8 and buf[at] == 0 and (load32(buf, at + 4) == 0xFE534D42 or load32(buf, at + 4) == 0xFF534D42):
        return SMB
    if size >= 11 and first >> 16 == 0x0300 and (buf[at + 5] == 0xE0 or buf[at + 5] == 0xD0) and load16(buf, at + 2) <= size:
        # Others stand on X.224 as well (H.323, S7): RDP's own is a cookie or a request for a protocol (MS-RDPBCGR 2.2.1).
        if sport == 3389 or dport == 3389 or (size >= 19 and (buf[at + 11] == 0x43 or (1 <= buf[at + 11] <= 3 and buf[at + 13] == 8))):
            return RDP
        return NOT_KNOWN
    if first >> 8 == 0x323230 and (buf[at + 3] == 0x20 or buf[at + 3] == 0x2D):  # 220: a greeting
        return greeting(buf, at, size, sport)
    if (dport == 21 or dport == 2121) and (first == 0x55534552 or first == 0x41555448):  # USER, AUTH
        return FTP
    if first == 0x45484C4F or first == 0x48454C4F:  # EHLO, HELO
        return SMTP
    if first >> 8 == 0x2B4F4B and sport == 110:  # +OK
        return POP3
    if first == 0x2A204F4B and size >= 5:  # * OK
        return IMAP
    if first == 0x52464220:  # RFB
        return VNC
    if first == 0x13426974:  # BitTorrent
        return BITTORRENT
    if buf[at] == 5 and buf[at + 1] == 0 and buf[at + 2] == 11 and size >= 16:  # bind
        return MSRPC
    if buf[at] == 5 and size == 2 + buf[at + 1] and (dport == 1080 or dport == 9050):
        return SOCKS
    if (sport == 53 or dport == 53) and size >= 14 and load16(buf, at) >= 12 and dns(buf, at + 2, size - 2):
        return DNS_TCP
    if sport == 3306 and size >= 6 and buf[at + 3] == 0 and buf[at + 4] == 10:
        return MYSQL
    if size >= 8 and (load32(buf, at + 4) == 80877103 or load32(buf, at + 4) == 196608) and first == size:
        return POSTGRESQL
    if dport == 6379 and buf[at] == 0x2A and 0x31 <= buf[at + 1] <= 0x39:
        return REDIS
    if buf[at] == 0x10 and size >= 9:  # a length of one or two bytes, then "MQTT" after its own length, or "MQIsdp"
        if load32(buf, at + 4) == 0x4D515454 or load32(buf, at + 5) == 0x4D515454 or load32(buf, at + 4) == 0x4D514973:
            return MQTT
    if size < 12:
        return NOT_KNOWN
    what = lines(buf, at, size, first)
    if what == SSDP:  # over TCP: an event (UPnP 1.1 4.3), which is HTTP
        return HTTP
    if what == NOT_KNOWN and first == 0x4F505449 and load32(buf, at + 4) == 0x4F4E5320:  # OPTIONS
        return HTTP if buf[at + 8] == 0x2F or buf[at + 8] == 0x2A else NOT_KNOWN
    return what
