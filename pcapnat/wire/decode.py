"""Headers into columns: the one big loop over frames.

`key` names what a plain NAT leaves alone, so that the same packet has the same key on both sides of one: TCP by
flags, sequence, acknowledgment, length and payload; UDP by length and payload; ICMP queries by type, code, sequence,
length and payload (not the identifier); anything else by length and payload. Never an address, a port, a TTL, a
window or a checksum. The payload digest covers its first `limit` bytes only, so that two captures with different
snaplens agree, and is meaningless beyond this run.

Readings taken: an IP length of 0 (TCP segmentation offload, jumbograms) means "to the end of the frame"; Ethernet
padding is not payload; a frame cut inside the first 20 bytes of its TCP header keeps its ports but is no TCP segment,
one cut inside the options is a segment without `key`. Of a packet in a tunnel the columns are the innermost one's; a
tunnel is entered only if an IP header lies in it whole.
"""

from typing import Any

from ..kernel import inner, kernel, load16, load32, load64, signed
from .link import ARP, FDDI, IN_LABELS, IPV4, IPV6, LAYOUT_ETHERNET, PROTECTED_BODY, SHORT_TYPE
from .packets import Flag, Frames, Outer, Packets, Quoted
from .strip import mac, mirrored, strip
from .transport import transport
from .tunnel import enter, tunnel_port

IP, V6, PORTS, TCP, UDP, ICMP = (int(f) for f in (Flag.IP, Flag.V6, Flag.PORTS, Flag.TCP, Flag.UDP, Flag.ICMP))
VLAN, FRAGMENT, QUOTE, SHORT, BAD = (int(f) for f in (Flag.VLAN, Flag.FRAGMENT, Flag.QUOTE, Flag.SHORT, Flag.BAD))
OTHER_LINK, TUNNEL, SACK_OK, TIMESTAMPS = (int(f) for f in (Flag.OTHER_LINK, Flag.TUNNEL, Flag.SACK_OK, Flag.TIMESTAMPS))
WSCALE, MSS, GROUP, KEY, IN_QUERY = (int(f) for f in (Flag.WSCALE, Flag.MSS, Flag.GROUP, Flag.KEY, Flag.IN_QUERY))
SPI, PROTECTED, DEEP = (int(f) for f in (Flag.SPI, Flag.PROTECTED, Flag.DEEP))
OF_ONE_PACKET = IP | V6 | PORTS | TCP | UDP | ICMP | FRAGMENT | GROUP | KEY | IN_QUERY | SPI
"""Marks that belong to one packet and not to the one it carries."""
MAY_CARRY = 1 << 40
"""Never stored: the packet may be a tunnel's."""
DEPTH = 8
"""Tunnels in one another that are followed."""
EXTENSIONS = 128
"""Extension headers that are followed."""
V4_PREFIX = 0xFFFF00000000


@inner
def internet(buf: Any, at: int, end: int, ethertype: int, p: Any, i: int, q: Any, quoted: int, limit: int, flags: int) -> tuple[int, int]:
    """The IP header at buf[at:end] and what it carries: (flags, number quoted)."""
    if ethertype == IPV4:
        if at + 20 > end:
            return flags | SHORT, quoted
        head = (buf[at] & 15) * 4
        total = load16(buf, at + 2)
        if buf[at] >> 4 != 4 or head < 20 or (total < head and total != 0):
            return flags | BAD, quoted
        fragment = load16(buf, at + 6)
        proto = buf[at + 9]
        target = load32(buf, at + 16)
        p.src[i, 0] = 0
        p.src[i, 1] = V4_PREFIX | load32(buf, at + 12)
        p.dst[i, 0] = 0
        p.dst[i, 1] = V4_PREFIX | target
        p.proto[i] = proto
        p.ttl[i] = buf[at + 8]
        p.tos[i] = buf[at + 1]
        p.ip_id[i] = load16(buf, at + 4)
        flags |= IP
        if target >> 28 == 14 or target == 0xFFFFFFFF:
            flags |= GROUP
        if fragment & 0x3FFF:
            flags |= FRAGMENT
            p.frag_offset[i] = fragment & 0x1FFF
        if at + head > end:
            return flags | SHORT, quoted
        ip_end = at + total
        if total == 0:
            ip_end = end
        if ip_end < end:
            end = ip_end
        at += head
        if proto == 51 and not fragment & 0x1FFF and at + 2 <= end:  # what AH signs is not hidden
            proto = buf[at] | 0
            p.proto[i] = proto
            at += 8 + buf[at + 1] * 4
        if fragment & 0x1FFF:
            proto = -1  # no transport header here: the payload is all there is
        return transport(buf, at, end, ip_end, proto, p, i, q, quoted, limit, flags)
    if at + 40 > end:
        return flags | SHORT, quoted
    if buf[at] >> 4 != 6:
        return flags | BAD, quoted
    total = load16(buf, at + 4)
    proto = buf[at + 6]
    p.src[i, 0] = load64(buf, at + 8)
    p.src[i, 1] = load64(buf, at + 16)
    p.dst[i, 0] = load64(buf, at + 24)
    p.dst[i, 1] = load64(buf, at + 32)
    p.ttl[i] = buf[at + 7]
    p.tos[i] = load16(buf, at) >> 4 & 0xFF
    flags |= IP | V6
    if buf[at + 24] == 0xFF:
        flags |= GROUP
    at += 40
    ip_end = at + total
    if total == 0:
        ip_end = end
    if ip_end < end:
        end = ip_end
    later = False
    for _ in range(EXTENSIONS):
        if proto == 0 or proto == 43 or proto == 60 or proto == 140:  # Mobility and HIP are the message: nothing lies behind them
            if at + 8 > end:
                p.proto[i] = proto
                return flags | SHORT, quoted
            proto = buf[at]
            at += 8 + buf[at + 1] * 8
        elif proto == 51:
            if at + 8 > end:
                p.proto[i] = proto
                return flags | SHORT, quoted
            proto = buf[at]
            at += 8 + buf[at + 1] * 4
        elif proto == 44:
            if at + 8 > end:
                p.proto[i] = proto
                return flags | SHORT, quoted
            proto = buf[at]
            fragment = load16(buf, at + 2)
            p.ip_id[i] = load32(buf, at + 4)
            if fragment & 0xFFF9:  # not an atomic fragment (RFC 6946)
                flags |= FRAGMENT
                p.frag_offset[i] = fragment >> 3
                later = fragment >> 3 != 0
            at += 8
            if later:
                break
        else:
            break
        if at > end:
            p.proto[i] = proto
            return flags | SHORT, quoted
    p.proto[i] = proto
    if later:
        proto = -1
    return transport(buf, at, end, ip_end, proto, p, i, q, quoted, limit, flags)


@inner
def opens(buf: Any, at: int, end: int, ethertype: int) -> int:
    """Whether an IP header worth entering lies at buf[at:end]: 1 yes, 0 no, -1 not known, as it is not whole."""
    if ethertype == SHORT_TYPE:
        return -1
    if ethertype == IPV4:
        if at + 20 > end:
            return -1
        total = load16(buf, at + 2)
        return 1 if buf[at] >> 4 == 4 and buf[at] & 15 >= 5 and (total >= (buf[at] & 15) * 4 or total == 0) else 0
    if ethertype == IPV6:
        if at + 40 > end:
            return -1
        return 1 if buf[at] >> 4 == 6 else 0
    return 0


@kernel(buf="u1", frames=Frames, count="int", base="int", links="i8", p=Packets, q=Quoted, o=Outer, limit="int")
def decode(buf: Any, frames: Any, count: int, base: int, links: Any, p: Any, q: Any, o: Any, limit: int) -> int:
    """Decode `count` frames of a chunk into rows 0..count-1 of p, zeroed before; returns rows used in q | rows used in o << 32.

    base: file offset of buf[0]. links: layout (see link.py) of each interface's link type. limit: payload bytes a key
    covers, 0 for no keys. Outer headers that find no room in o are left out.
    """
    quoted = 0
    outer = 0
    for i in range(count):
        start = frames.at[i]
        end = start + frames.cap_len[i]
        flags = frames.flags[i] | 0
        layout = links[frames.interface[i]]
        p.time_ns[i] = frames.time_ns[i]
        p.offset[i] = base + start
        p.cap_len[i] = frames.cap_len[i]
        p.wire_len[i] = frames.wire_len[i]
        p.interface[i] = frames.interface[i]
        at = start + 14
        ethertype = 0
        if layout == LAYOUT_ETHERNET and at <= end:
            p.eth_dst[i] = mac(buf, start)
            p.eth_src[i] = mac(buf, start + 6)
            ethertype = load16(buf, start + 12)
        if ethertype != IPV4 and ethertype != IPV6:
            at, ethertype, vlan, marks, target, source = strip(buf, start, end, layout)
            if vlan >= 0:
                p.vlan[i] = vlan
                flags |= VLAN
            if marks & IN_LABELS:
                flags |= TUNNEL
            if marks & PROTECTED_BODY:
                flags |= PROTECTED
            if layout != LAYOUT_ETHERNET:
                other_order = layout & 0xFF == FDDI
                if target >= start and target + 6 <= end:
                    p.eth_dst[i] = mirrored(mac(buf, target)) if other_order else mac(buf, target)
                if source >= start and source + 6 <= end:
                    p.eth_src[i] = mirrored(mac(buf, source)) if other_order else mac(buf, source)
            if ethertype == SHORT_TYPE:
                p.flags[i] = flags | SHORT
                continue
            p.ethertype[i] = ethertype
            if ethertype != IPV4 and ethertype != IPV6:
                at -= start
                p.payload_at[i] = at
                p.payload_len[i] = signed(frames.wire_len[i]) - at if at < frames.wire_len[i] else 0
                p.flags[i] = flags if ethertype == ARP else flags | OTHER_LINK
                continue
        else:
            p.ethertype[i] = ethertype
        depth = 0
        while True:
            flags, quoted = internet(buf, at, end, ethertype, p, i, q, quoted, limit, flags)
            if not flags & MAY_CARRY:
                break
            flags ^= MAY_CARRY
            at = signed(p.payload_at[i])
            port = 0
            if flags & UDP:
                port = signed(p.dport[i])
                if not tunnel_port(port):
                    port = signed(p.sport[i])
            stop = at + signed(p.payload_len[i])
            if stop < end:
                end = stop
            kind, place, inside, name = enter(buf, at, end, signed(p.proto[i]), port)
            if kind == 0:
                break
            place, ethertype, vlan, marks, target, source = strip(buf, place, end, inside)
            good = opens(buf, place, end, ethertype)
            if good != 1 or depth == DEPTH:
                if good == 1:
                    flags |= DEEP
                if good < 0 and stop > end:
                    flags |= SHORT
                if port == 0 and p.proto[i] == 47 and buf[at + 1] & 7 == 1:
                    p.dport[i] = name
                    flags |= SPI
                break
            if outer < len(o.carrier):
                o.carrier[outer] = i
                o.depth[outer] = depth
                o.kind[outer] = kind
                o.proto[outer] = p.proto[i]
                o.src[outer, 0] = p.src[i, 0]
                o.src[outer, 1] = p.src[i, 1]
                o.dst[outer, 0] = p.dst[i, 0]
                o.dst[outer, 1] = p.dst[i, 1]
                o.sport[outer] = p.sport[i]
                o.dport[outer] = p.dport[i]
                o.key[outer] = name
                o.vlan[outer] = vlan
                o.eth_dst[outer] = mac(buf, target) if target >= start else 0
                o.eth_src[outer] = mac(buf, source) if source >= start else 0
                outer += 1
            p.sport[i] = 0
            p.dport[i] = 0
            p.ip_id[i] = 0
            p.frag_offset[i] = 0
            p.payload_at[i] = 0
            p.payload_len[i] = 0
            p.key[i] = 0
            p.digest[i] = 0
            flags = flags & ~OF_ONE_PACKET | TUNNEL
            at = place
            depth += 1
        if p.payload_at[i] >= start:
            p.payload_at[i] = p.payload_at[i] - start
        p.flags[i] = flags
    return quoted | outer << 32
