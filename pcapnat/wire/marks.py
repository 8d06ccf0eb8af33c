"""What each mark on a frame says to a person, a sentence each."""

from .packets import Flag

MARKS = {
    Flag.IP: "An IPv4 or IPv6 header was read.",
    Flag.V6: "The IP header is version 6.",
    Flag.PORTS: "Ports, or the identifier of an ICMP query, were read.",
    Flag.TCP: "A TCP header was read.",
    Flag.UDP: "A UDP header was read.",
    Flag.ICMP: "An ICMP or ICMPv6 header was read.",
    Flag.VLAN: "The frame has a VLAN tag.",
    Flag.FRAGMENT: "Part of a fragmented datagram; all but its first part are without ports.",
    Flag.QUOTE: "An ICMP error that quotes the packet it is about.",
    Flag.CUT: "The capture holds less of the frame than was on the wire.",
    Flag.SHORT: "A header ends beyond the captured bytes: what lies behind it is unknown.",
    Flag.BAD: "A header contradicts itself (version, header length, total length): what lies behind it is not read.",
    Flag.OTHER_LINK: "The link type, or the protocol above the link, is not decoded.",
    Flag.TUNNEL: "Labels or a PPPoE header lie before IP, or the packet is carried in another one.",
    Flag.NO_TIME: "The file gives this frame no time: it is that of the frame before.",
    Flag.SACK_OK: "TCP option: selective acknowledgments are permitted.",
    Flag.TIMESTAMPS: "TCP option: timestamps.",
    Flag.WSCALE: "TCP option: window scale.",
    Flag.MSS: "TCP option: maximum segment size.",
    Flag.GROUP: "Sent to an IP multicast or the limited broadcast address.",
    Flag.KEY: "The payload, and what a NAT leaves alone of the headers, has a fingerprint.",
    Flag.IN_QUERY: "An ICMP query or its reply: it belongs to a conversation by its identifier.",
    Flag.BAD_TIME: "The file's time lies beyond the year 2116 (or before 1823) and was clamped.",
    Flag.SPI: "In place of ports it has the SPI of ESP, or the call of PPTP's GRE, in two halves.",
    Flag.PROTECTED: "The body of the 802.11 or MACsec frame is encrypted.",
    Flag.DEEP: "More tunnels in one another than are followed: the columns hold the eighth's packet.",
    Flag.NOTED: "The file says something about this frame in words: a comment or a verdict.",
}
"""A test sees that none is missing."""


def marks(flags: int) -> list[tuple[str, str]]:
    """(name, sentence) of each mark that is set."""
    return [(flag.name or "", MARKS.get(flag, "")) for flag in Flag if flags & flag]
