"""Above IP: ports, TCP with its options, UDP, ICMP and the packet an ICMP error quotes."""

from typing import Any

from ..kernel import digest, inner, load16, load32, load64, mix
from .packets import Flag
from .tunnel import tunnel_port, tunnel_protocol

IP, V6, PORTS, TCP, UDP, ICMP = (int(f) for f in (Flag.IP, Flag.V6, Flag.PORTS, Flag.TCP, Flag.UDP, Flag.ICMP))
VLAN, FRAGMENT, QUOTE, SHORT, BAD = (int(f) for f in (Flag.VLAN, Flag.FRAGMENT, Flag.QUOTE, Flag.SHORT, Flag.BAD))
OTHER_LINK, TUNNEL, SACK_OK, TIMESTAMPS = (int(f) for f in (Flag.OTHER_LINK, Flag.TUNNEL, Flag.SACK_OK, Flag.TIMESTAMPS))
WSCALE, MSS, GROUP, KEY, IN_QUERY = (int(f) for f in (Flag.WSCALE, Flag.MSS, Flag.GROUP, Flag.KEY, Flag.IN_QUERY))
SPI, PROTECTED, DEEP = (int(f) for f in (Flag.SPI, Flag.PROTECTED, Flag.DEEP))
OF_ONE_PACKET = IP | V6 | PORTS | TCP | UDP | ICMP | FRAGMENT | GROUP | KEY | IN_QUERY | SPI
"""Marks that belong to one packet and not to the one it carries."""
LEAST_LIMIT = 16
"""Payload bytes that a key covers at least, where there are so many; with so few, that of a TCP segment covers none."""
MAY_CARRY = 1 << 40
"""Never stored: the packet may be a tunnel's."""
DEPTH = 8
"""Tunnels in one another that are followed."""
EXTENSIONS = 128
"""Extension headers that are followed."""
V4_PREFIX = 0xFFFF00000000


@inner
def tcp_options(buf: Any, at: int, end: int, p: Any, i: int) -> int:
    """Read MSS, window scale, SACK-permitted and timestamps from buf[at:end]; returns their marks."""
    marks = 0
    if at + 12 <= end and load32(buf, at) == 0x0101080A:  # how nearly every segment after the SYN begins
        p.tsval[i] = load32(buf, at + 4)
        p.tsecr[i] = load32(buf, at + 8)
        marks = TIMESTAMPS
        at += 12
    while at < end:
        kind = buf[at]
        if kind == 0:
            break
        if kind == 1:
            at += 1
            continue
        if at + 1 >= end:
            break
        size = buf[at + 1]
        if size < 2 or at + size > end:  # a lying length would loop or run out: what follows is unreadable
            break
        if kind == 2 and size == 4:
            p.mss[i] = load16(buf, at + 2)
            marks |= MSS
        elif kind == 3 and size == 3:
            p.wscale[i] = buf[at + 2]
            marks |= WSCALE
        elif kind == 4 and size == 2:
            marks |= SACK_OK
        elif kind == 8 and size == 10:
            p.tsval[i] = load32(buf, at + 2)
            p.tsecr[i] = load32(buf, at + 6)
            marks |= TIMESTAMPS
        at += size
    return marks


@inner
def query(proto: int, kind: int) -> bool:
    """Whether an ICMP type is a query or a reply with an identifier."""
    if proto == 1:
        return kind == 8 or kind == 0 or (13 <= kind <= 18)
    return kind == 128 or kind == 129


@inner
def error(proto: int, kind: int) -> bool:
    """Whether an ICMP type is an error that quotes the packet it is about."""
    if proto == 1:
        return kind == 3 or kind == 4 or kind == 5 or kind == 11 or kind == 12
    return 1 <= kind <= 4


@inner
def quote(buf: Any, at: int, end: int, q: Any, k: int) -> bool:
    """Read the packet quoted at buf[at:end] into row k of q; False if not even its addresses are there."""
    if at + 20 > end:
        return False
    version = buf[at] >> 4
    if version == 4:
        head = (buf[at] & 15) * 4
        if head < 20:
            return False
        proto = buf[at + 9]
        q.src[k, 0] = 0
        q.src[k, 1] = V4_PREFIX | load32(buf, at + 12)
        q.dst[k, 0] = 0
        q.dst[k, 1] = V4_PREFIX | load32(buf, at + 16)
        first = load16(buf, at + 6) & 0x1FFF == 0
        at += head
    elif version == 6:
        if at + 40 > end:
            return False
        proto = buf[at + 6]
        q.src[k, 0] = load64(buf, at + 8)
        q.src[k, 1] = load64(buf, at + 16)
        q.dst[k, 0] = load64(buf, at + 24)
        q.dst[k, 1] = load64(buf, at + 32)
        first = True
        at += 40
        if proto == 44 and at + 8 <= end:  # a fragment header is the one commonly met here
            proto = buf[at]
            first = load16(buf, at + 2) >> 3 == 0
            at += 8
    else:
        return False
    q.proto[k] = proto
    q.ports[k] = 0
    q.sport[k] = 0
    q.dport[k] = 0
    q.seq[k] = 0
    if first and at + 8 <= end:
        if proto == 6 or proto == 17 or proto == 132 or proto == 136 or proto == 33:
            q.sport[k] = load16(buf, at)
            q.dport[k] = load16(buf, at + 2)
            q.ports[k] = 1
            if proto == 6:
                q.seq[k] = load32(buf, at + 4)
                if at + 20 <= end:
                    q.ports[k] = 2
        elif (proto == 1 or proto == 58) and query(proto, buf[at]):
            q.sport[k] = load16(buf, at + 4)
            q.dport[k] = load16(buf, at + 4)
            q.ports[k] = 1
    return True


@inner
def transport(
    buf: Any, at: int, end: int, ip_end: int, proto: int, p: Any, i: int, q: Any, quoted: int, limit: int, flags: int
) -> tuple[int, int]:
    """Ports, TCP, UDP and ICMP of buf[at:end] (ip_end: where the packet ends by its headers): (flags, number quoted)."""
    key = proto
    if proto == 6:
        if at + 4 <= end:
            p.sport[i] = load16(buf, at)
            p.dport[i] = load16(buf, at + 2)
            flags |= PORTS
        if at + 20 > end:
            return flags | SHORT, quoted
        bits = load16(buf, at + 12)
        head = (bits >> 12) * 4
        if head < 20:
            return flags | BAD, quoted
        seq = load32(buf, at + 4)
        ack = load32(buf, at + 8)
        bits &= 0xFFF
        p.seq[i] = seq
        p.ack[i] = ack
        p.tcp_flags[i] = bits
        p.window[i] = load16(buf, at + 14)
        flags |= TCP
        if head > 20:
            stop = at + head
            if stop > end:
                stop = end
            flags |= tcp_options(buf, at + 20, stop, p, i)
        at += head
        if limit > 0:
            # Only SYN, FIN, RST and ACK: PSH, URG and ECN bits are rewritten by offloads and middleboxes.
            key = mix(mix(key, (bits & 0x17) << 32 | seq), ack if bits & 16 else 0)
    elif proto == 17 or proto == 136:
        if at + 4 <= end:
            p.sport[i] = load16(buf, at)
            p.dport[i] = load16(buf, at + 2)
            flags |= PORTS
        if at + 8 > end:
            return flags | SHORT, quoted
        if proto == 17:
            size = load16(buf, at + 4)
            if size < 8 and (size > 0 or (not flags & V6 and p.wire_len[i] <= 0xFFFF)):  # 0: as long as the packet (RFC 2675 section 4)
                return flags | BAD, quoted
            flags |= UDP
            if tunnel_port(p.dport[i]) or tunnel_port(p.sport[i]):
                flags |= MAY_CARRY
            if flags & FRAGMENT and size > 8:
                ip_end = at + size  # the length of the whole datagram, which later fragments complete
        at += 8
    elif proto == 1 or proto == 58:
        if at + 8 > end:
            return flags | SHORT, quoted
        kind = buf[at]
        p.icmp_type[i] = kind
        p.icmp_code[i] = buf[at + 1]
        flags |= ICMP
        if query(proto, kind):
            p.sport[i] = load16(buf, at + 4)
            p.dport[i] = load16(buf, at + 4)
            p.seq[i] = load16(buf, at + 6)
            flags |= PORTS | IN_QUERY
            if proto == 58:  # a translator between IP versions makes the one of the other (RFC 7915 4.2, 5.2)
                key = 1
                kind = 8 if kind == 128 else 0
            key = mix(key, kind << 24 | buf[at + 1] << 16 | load16(buf, at + 6))
        elif error(proto, kind):
            if quote(buf, at + 8, end, q, quoted):
                q.carrier[quoted] = i
                quoted += 1
                flags |= QUOTE
            limit = 0
        at += 8
    elif proto == 132 or proto == 33:
        if at + 4 > end:
            return flags | SHORT, quoted
        p.sport[i] = load16(buf, at)
        p.dport[i] = load16(buf, at + 2)
        flags |= PORTS
        at += 8  # what follows the ports holds a checksum (of DCCP) that covers them and changes with them
        if proto == 132:
            at += 4
    elif proto == 50:
        if at + 8 <= end:
            p.sport[i] = load16(buf, at)
            p.dport[i] = load16(buf, at + 2)
            flags |= SPI
    elif tunnel_protocol(proto):
        flags |= MAY_CARRY
    size = ip_end - at
    if size < 0:
        size = 0
    p.payload_at[i] = at
    p.payload_len[i] = size
    if at > end:
        flags |= SHORT
        if proto != 6:
            return flags, quoted
    if limit > 0:
        known = end - at
        if known > limit:
            known = limit
        key = mix(key, size)
        if known > 0:
            name = digest(buf, at, known)
            # What a short snaplen leaves of a payload depends on the options before it, and the numbers of a segment are
            # enough to know it by. A stream is not recognised by less of its beginning than the other side may show.
            if proto != 6 or limit > LEAST_LIMIT:
                key = mix(key, name)
            if proto != 6 or known == limit or known == size:
                p.digest[i] = name
        p.key[i] = key
        flags |= KEY
    return flags, quoted
