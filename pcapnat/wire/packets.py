"""Frames and Packets: the columns everything else is made of, and the marks a frame can carry.

Frames says where each record lies in the file; Packets says what its headers hold. A value means something only when
its mark is set in `flags` (ports with PORTS, seq with TCP ...). Damage is a mark, never an exception.
"""

from enum import IntFlag

from ..table import Table, column


class Flag(IntFlag):
    """Marks on a frame. Kernels use the plain numbers."""

    IP = 1 << 0
    """An IPv4 or IPv6 header was read whole, options perhaps excepted (then SHORT is set too)."""
    V6 = 1 << 1
    PORTS = 1 << 2
    """sport and dport hold ports, or the ICMP query identifier in both."""
    TCP = 1 << 3
    """The TCP header was read whole, options perhaps excepted (then SHORT is set too)."""
    UDP = 1 << 4
    ICMP = 1 << 5
    """ICMP or ICMPv6; type and code are valid."""
    VLAN = 1 << 6
    FRAGMENT = 1 << 7
    """Part of a fragmented datagram; without PORTS it is not the first part."""
    QUOTE = 1 << 8
    """An ICMP error with a readable quoted packet: see Quoted."""
    CUT = 1 << 9
    """The capture holds less of the frame than was on the wire."""
    SHORT = 1 << 10
    """A header ends beyond the captured bytes: what lies behind it is unknown."""
    BAD = 1 << 11
    """A header contradicts itself (version, header length, total length)."""
    OTHER_LINK = 1 << 12
    """A link type, or a protocol above the link, that we do not decode."""
    TUNNEL = 1 << 13
    """Labels or a PPPoE header lay between link and IP, or the packet was carried in another one: see Outer."""
    NO_TIME = 1 << 14
    """The file gives this frame no time (pcapng simple packet block): the time of the frame before it is used."""
    SACK_OK = 1 << 15
    TIMESTAMPS = 1 << 16
    """tsval and tsecr hold the TCP timestamps option."""
    WSCALE = 1 << 17
    MSS = 1 << 18
    GROUP = 1 << 19
    """Sent to an IP multicast or the limited broadcast address."""
    KEY = 1 << 20
    """`key` holds a fingerprint."""
    IN_QUERY = 1 << 21
    """An ICMP query or its reply (echo, timestamp, mask): belongs to a conversation by its identifier."""
    BAD_TIME = 1 << 22
    """The file's time lies beyond the year 2116 (or before 1823) and was clamped."""
    NOTED = 1 << 30
    """The file says something about this frame in words: a comment or a verdict (pcapng.frame_options reads it)."""
    SPI = 1 << 23
    """sport and dport hold the upper and lower half of what takes the place of ports in one direction: the SPI of ESP, the
    call of PPTP's GRE."""
    PROTECTED = 1 << 24
    """An 802.11 data frame or a MACsec frame whose body is encrypted."""
    DEEP = 1 << 25
    """More tunnels in one another than are followed: the columns hold the eighth's packet."""


class Frames(Table):
    """One row per record of a chunk, in file order."""

    time_ns = column("int64", "when the frame was captured", unit="ns since 1970-01-01 UTC")
    at = column("int64", "where its bytes begin in the chunk's buffer", unit="bytes")
    cap_len = column("uint32", "bytes in the file", unit="bytes")
    wire_len = column("uint32", "bytes the frame had on the wire", unit="bytes")
    interface = column("uint32", "pcapng interface, counted over all sections from 0")
    flags = column("uint32", "CUT, NO_TIME, BAD_TIME, NOTED")
    direction = column("uint8", "0 not known, 1 inbound, 2 outbound", source="pcapng epb_flags")
    packet_id = column(
        "int64", "identifier the capturing system gave the packet, the same wherever it was seen; 0: none", source="pcapng epb_packetid"
    )


class Packets(Table):
    """One row per frame, in file order: row i is Wireshark's frame number i + 1.

    Of a packet in a tunnel the columns from `src` on are the innermost one's; MAC addresses, ethertype and VLAN are the
    frame's own. The headers around it are rows of Outer.
    """

    time_ns = column("int64", "when the frame was captured", unit="ns since 1970-01-01 UTC")
    offset = column("int64", "where the frame's bytes begin in the (uncompressed) file", unit="bytes")
    cap_len = column("uint32", "bytes in the file", unit="bytes")
    wire_len = column("uint32", "bytes the frame had on the wire", unit="bytes")
    interface = column("uint32", "pcapng interface, counted over all sections from 0")
    flags = column("uint32", "marks, see Flag")
    direction = column("uint8", "0 not known, 1 inbound, 2 outbound", source="pcapng epb_flags")
    packet_id = column(
        "int64", "identifier the capturing system gave the packet, the same wherever it was seen; 0: none", source="pcapng epb_packetid"
    )
    eth_dst = column("uint64", "destination MAC address", source="IEEE 802.3 3.2.3")
    eth_src = column("uint64", "source MAC address", source="IEEE 802.3 3.2.3")
    ethertype = column("uint16", "type of what follows the link header and its tags")
    vlan = column("uint16", "VLAN identifier of the outermost tag", source="IEEE 802.1Q 9.6")
    src = column("uint64", "source address, IPv4 as ::ffff:a.b.c.d", width=2, source="RFC 4291 2.5.5.2")
    dst = column("uint64", "destination address, IPv4 as ::ffff:a.b.c.d", width=2, source="RFC 4291 2.5.5.2")
    proto = column("uint8", "protocol above IP and its extension headers", source="IANA protocol numbers")
    ttl = column("uint8", "time to live or hop limit")
    tos = column("uint8", "DSCP and ECN")
    ip_id = column("uint32", "IPv4 identification, or that of an IPv6 fragment header")
    frag_offset = column("uint16", "offset of a fragment", unit="8 bytes")
    sport = column("uint16", "source port, or ICMP query identifier (with SPI: upper half)", source="RFC 5508 3")
    dport = column("uint16", "destination port, or ICMP query identifier (with SPI: lower half)", source="RFC 5508 3")
    tcp_flags = column("uint16", "FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128", source="RFC 9293 3.1")
    seq = column("uint32", "TCP sequence number, or ICMP echo sequence number")
    ack = column("uint32", "TCP acknowledgment number")
    window = column("uint16", "TCP window, not scaled")
    mss = column("uint16", "TCP maximum segment size option", unit="bytes")
    wscale = column("uint8", "TCP window scale option", source="RFC 7323 2")
    tsval = column("uint32", "TCP timestamp value", source="RFC 7323 3")
    tsecr = column("uint32", "TCP timestamp echo reply", source="RFC 7323 3")
    icmp_type = column("uint8", "ICMP or ICMPv6 type")
    icmp_code = column("uint8", "ICMP or ICMPv6 code")
    payload_at = column("uint32", "where the payload begins, from the frame's first byte; without IP: what the link carries", unit="bytes")
    payload_len = column("uint32", "length of the payload by the headers, captured or not; without IP: to the frame's end", unit="bytes")
    key = column("int64", "fingerprint of what a NAT leaves alone (see decode.py)")
    digest = column("int64", "digest of the payload's first bytes, 0 for none: what is left where sequence numbers are rewritten")


class Quoted(Table):
    """One row per packet quoted inside an ICMP error. It is not a frame: nothing counts it as traffic."""

    carrier = column("int64", "row in Packets of the frame that carries it")
    proto = column("uint8", "protocol of the quoted packet")
    src = column("uint64", "its source address", width=2)
    dst = column("uint64", "its destination address", width=2)
    sport = column("uint16", "its source port or query identifier")
    dport = column("uint16", "its destination port or query identifier")
    seq = column("uint32", "its TCP sequence number")
    ports = column("uint8", "1 if the quote holds ports or an identifier, 2 if it holds a whole TCP header")


class Outer(Table):
    """One row per tunnel header around the packet of a row in Packets, outermost first."""

    carrier = column("int64", "row in Packets of the frame")
    depth = column("uint8", "0 for the outermost")
    kind = column("uint8", "what kind of tunnel, see Tunnel")
    proto = column("uint8", "protocol of the outer packet")
    src = column("uint64", "its source address", width=2)
    dst = column("uint64", "its destination address", width=2)
    sport = column("uint16", "its source port, 0 without UDP")
    dport = column("uint16", "its destination port, 0 without UDP")
    key = column("uint32", "network identifier, GRE key, call, tunnel endpoint or session, see tunnel.py")
    eth_dst = column("uint64", "destination MAC address of the frame inside, 0 if none")
    eth_src = column("uint64", "source MAC address of the frame inside, 0 if none")
    vlan = column("int16", "outermost VLAN of the frame inside, -1 if none")
