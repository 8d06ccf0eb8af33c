"""What a message is, by its first bytes: the ones whose content is read, and the ones that are only recognised.

A port number is never enough: nothing is called DNS that does not begin as DNS does. Signatures are fixed bytes of the
protocols' own specifications; what has none that is reliable is left unknown.
"""

from enum import IntEnum
from typing import Any

from ..kernel import inner, load16, load32


class Topic(IntEnum):
    """Kinds of messages. Up to SSH their content is read (one file of this room each, or a few), the others are recognised."""

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
    """DNS with a length before it; its content is read too."""

    @property
    def label(self) -> str:
        """The protocol's usual name."""
        return LABELS.get(self, self.name.lower())


LABELS = {Topic.DHCPV6: "dhcpv6", Topic.DNS_TCP: "dns"}
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
def datagram(buf: Any, at: int, size: int, sport: int, dport: int) -> int:
    """The topic of a UDP datagram's payload buf[at:at+size], NOT_KNOWN if nothing fits."""
    if size >= 20 and buf[at] < 4 and load32(buf, at + 4) == 0x2112A442 and load16(buf, at + 2) & 3 == 0:
        return STUN
    if sport == 53 or dport == 53:
        return DNS if dns(buf, at, size) else NOT_KNOWN
    if sport == 5353 or dport == 5353:
        return MDNS if dns(buf, at, size) else NOT_KNOWN
    if sport == 5355 or dport == 5355:
        return LLMNR if dns(buf, at, size) else NOT_KNOWN
    if dport == 137 or sport == 137:
        return NBNS if size >= 12 else NOT_KNOWN
    if dport == 67 or dport == 68:
        return DHCP if size >= 240 and load32(buf, at + 236) == 0x63825363 else NOT_KNOWN
    if dport == 546 or dport == 547:
        return DHCPV6 if size >= 4 and 1 <= buf[at] <= 36 else NOT_KNOWN
    if sport == 123 or dport == 123:
        return NTP if size >= 48 and 1 <= buf[at] >> 3 & 7 <= 4 else NOT_KNOWN
    if size < 4:
        return NOT_KNOWN
    first = load32(buf, at)
    if buf[at] & 0xC0 == 0xC0 and size >= 22:
        version = load32(buf, at + 1)
        if (version == 1 or version == 0x6B3343CF or version >> 8 == 0xFF0000) and buf[at + 5] <= 20:
            return QUIC
    if first == 0x01000000 and size == 148:
        return WIREGUARD
    if 20 <= buf[at] <= 25 and size >= 13 and (load16(buf, at + 1) == 0xFEFD or load16(buf, at + 1) == 0xFEFF):
        return DTLS
    if (sport == 500 or dport == 500) and size >= 28 and buf[at + 17] >> 4 <= 2 and load32(buf, at + 24) == size:
        return IKE
    if (dport == 69) and size >= 4 and buf[at] == 0 and 1 <= buf[at + 1] <= 2:
        return TFTP
    if (sport == 161 or dport == 161 or dport == 162) and buf[at] == 0x30:
        return SNMP
    if dport == 514 and buf[at] == 0x3C:
        return SYSLOG
    return sip(buf, at, size, first)


@inner
def sip(buf: Any, at: int, size: int, first: int) -> int:
    """SIP, RTSP or SSDP, whose lines look alike: methods followed by " sip:", or the version of a response."""
    if size < 12:
        return NOT_KNOWN
    if first == 0x5349502F:  # SIP/
        return SIP
    if first == 0x52545350:  # RTSP
        return RTSP
    if first == 0x4E4F5449 or first == 0x4D2D5345:  # NOTI(FY), M-SE(ARCH): SIP has a NOTIFY of its own
        if load32(buf, at + 4) >> 8 == 0x465920 and load32(buf, at + 7) == 0x7369703A:
            return SIP
        return SSDP
    if letter(buf[at]) and letter(buf[at + 1]) and letter(buf[at + 2]):
        for k in range(3, 10):  # INVITE sip:
            if buf[at + k] == 0x20:
                if at + k + 5 <= at + size and (load32(buf, at + k + 1) == 0x7369703A or load32(buf, at + k + 1) == 0x73697073):
                    return SIP
                break
    return NOT_KNOWN


@inner
def letter(byte: int) -> bool:
    """A capital letter."""
    return 0x41 <= byte <= 0x5A


@inner
def segment(buf: Any, at: int, size: int, sport: int, dport: int) -> int:
    """The topic of what a TCP connection says first, in either direction, buf[at:at+size]; NOT_KNOWN if nothing fits."""
    if size < 4:
        return NOT_KNOWN
    first = load32(buf, at)
    if size >= 6 and first >> 16 == 0x1603 and buf[at + 2] <= 4 and buf[at + 5] <= 2:
        return TLS
    if first == 0x5353482D:  # SSH-
        return SSH
    if (
        first == 0x47455420  # GET
        or first == 0x504F5354  # POST
        or first == 0x48454144  # HEAD
        or first == 0x50555420  # PUT
        or first == 0x44454C45  # DELE(TE)
        or first == 0x434F4E4E  # CONN(ECT)
        or first == 0x48545450  # HTTP
        or first == 0x50415443  # PATC(H)
    ):
        return HTTP
    if size >= 8 and buf[at] == 0 and (load32(buf, at + 4) == 0xFE534D42 or load32(buf, at + 4) == 0xFF534D42):
        return SMB
    if size >= 11 and first >> 16 == 0x0300 and (buf[at + 5] == 0xE0 or buf[at + 5] == 0xD0) and load16(buf, at + 2) <= size:
        return RDP
    if first >> 8 == 0x323230 and (buf[at + 3] == 0x20 or buf[at + 3] == 0x2D):  # 220: a greeting
        if sport == 21 or sport == 2121:
            return FTP
        if sport == 25 or sport == 587 or sport == 2525:
            return SMTP
        return NOT_KNOWN
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
    if (dport == 6379) and buf[at] == 0x2A and size >= 4:
        return REDIS
    if buf[at] == 0x10 and size >= 8 and (load32(buf, at + 4) == 0x4D515454 or load32(buf, at + 3) == 0x044D5154):
        return MQTT
    if size < 12:
        return NOT_KNOWN
    what = sip(buf, at, size, first)
    if what == NOT_KNOWN and first == 0x4F505449 and load32(buf, at + 4) == 0x4F4E5320:  # OPTIONS
        return HTTP if buf[at + 8] == 0x2F or buf[at + 8] == 0x2A else RTSP if load32(buf, at + 8) == 0x72747370 else NOT_KNOWN
    return what
