"""What RFC 4787, 5382, 5508 and 7857 ask of mappings, filters, ports, hairpins and times, as frames."""
from __future__ import annotations

from dataclasses import replace

import pytest
from steps import run

from pcapnat.model import NatModel
from pcapnat.nat.behavior import Filtering, Hairpin, Mapping, NatBehavior, Pooling, PortChoice, PortRange, Static
from pcapnat.nat.presets import PRESETS

N = "203.0.113.1"
BASE = NatBehavior(addresses=(N,), tcp_fin_s=7440)
MAPPINGS = (Mapping.ENDPOINT_INDEPENDENT, Mapping.ADDRESS_DEPENDENT, Mapping.ADDRESS_AND_PORT_DEPENDENT)


@pytest.mark.usefixtures("mode")
@pytest.mark.parametrize("proto", ["udp", "tcp S"])
@pytest.mark.parametrize("filtering", Filtering, ids=lambda f: f.value)
@pytest.mark.parametrize("mapping", MAPPINGS, ids=lambda m: m.value)
def test_mapping_and_filtering(mapping: Mapping, filtering: Filtering, proto: str) -> None:
    """RFC 4787 sections 4.1 and 5: one inside endpoint, two ports of one remote host and another host; then who may send to it."""
    # Which outside port each of the three sessions has, and of the unsolicited packets which is let in.
    ports = {0: (7001, 7001, 7001), 1: (7001, 7001, 7003), 2: (7001, 7002, 7003)}[mapping.depth]
    first, second, third = ports
    same_host, other_host = (("in", "in"), ("in", "dropped"), ("dropped", "dropped"))[filtering.depth]
    def unsolicited(src: str, port: int, way: str) -> str:
        return f"+0.1 out {src} > {N}:{port} {proto} = " + (f"in {src} > 10.0.0.2:4000" if way == "in" else "dropped FILTERED")
    run(NatModel(replace(BASE, mapping=mapping, filtering=filtering)), f"""
        0    in  10.0.0.2:4000 > 192.0.2.1:53 {proto} hint={N}:7001     = out {N}:{first} > 192.0.2.1:53
        +0.1 in  10.0.0.2:4000 > 192.0.2.1:54 {proto} hint={N}:7002     = out {N}:{second} > 192.0.2.1:54
        +0.1 in  10.0.0.2:4000 > 192.0.2.9:53 {proto} hint={N}:7003     = out {N}:{third} > 192.0.2.9:53
        +0.1 out 192.0.2.1:53 > {N}:{first} {proto}                     = in 192.0.2.1:53 > 10.0.0.2:4000
        +0.1 out 192.0.2.9:53 > {N}:{third} {proto}                     = in 192.0.2.9:53 > 10.0.0.2:4000
        {unsolicited("192.0.2.1:99", first, same_host)}
        {unsolicited("192.0.2.77:53", first, other_host)}
        +0.1 out 192.0.2.1:53 > {N}:7999 {proto}                        = dropped NO_MAPPING
    """)


@pytest.mark.parametrize("mapping", MAPPINGS, ids=lambda m: m.value)
def test_ports_are_not_shared_unless_overloading(mapping: Mapping) -> None:
    """RFC 4787 REQ-3: a port that another host has is refused, with overloading only towards the same remote endpoint."""
    apart = replace(BASE, mapping=mapping, filtering=Filtering.ADDRESS_AND_PORT_DEPENDENT)
    v = run(NatModel(apart), f"""
        0    in  10.0.0.2:4000 > 192.0.2.1:53 udp hint={N}:7001  = out {N}:7001 > 192.0.2.1:53
        +0.1 in  10.0.0.3:4000 > 192.0.2.9:53 udp hint={N}:7001
    """)
    assert v.choice.tolist() == [2, 3]
    assert v.sport[1] != 7001
    v = run(NatModel(replace(apart, port_overloading=True)), f"""
        0    in  10.0.0.2:4000 > 192.0.2.1:53 udp hint={N}:7001  = out {N}:7001 > 192.0.2.1:53
        +0.1 in  10.0.0.3:4000 > 192.0.2.9:53 udp hint={N}:7001  = out {N}:7001 > 192.0.2.9:53
        +0.1 in  10.0.0.4:4000 > 192.0.2.9:53 udp hint={N}:7001
        +0.1 out 192.0.2.9:53 > {N}:7001 udp                     = in 192.0.2.9:53 > 10.0.0.3:4000
        +0.1 out 192.0.2.1:53 > {N}:7001 udp                     = in 192.0.2.1:53 > 10.0.0.2:4000
    """)
    assert v.choice[2] == 3


@pytest.mark.usefixtures("mode")
def test_preservation_ranges_and_parity() -> None:
    """RFC 4787 REQ-3a, REQ-4: the inside port if it is free; else one of its class and parity, and no other is believed."""
    b = replace(PRESETS["rfc-strict"].behavior, addresses=(N,))
    v = run(NatModel(b), f"""
        0    in  10.0.0.2:500 > 192.0.2.1:500 udp                    = out {N}:500 > 192.0.2.1:500
        +0.1 in  10.0.0.3:500 > 192.0.2.1:500 udp hint={N}:5000
        +0.1 in  10.0.0.4:500 > 192.0.2.1:500 udp hint={N}:601
        +0.1 in  10.0.0.5:500 > 192.0.2.1:500 udp hint={N}:602       = out {N}:602 > 192.0.2.1:500
        +0.1 in  10.0.0.2:4001 > 192.0.2.1:53 udp hint={N}:9999      = out {N}:4001 > 192.0.2.1:53
    """)
    assert v.choice.tolist() == [1, 3, 3, 2, 1]
    assert (v.sport[1:3] < 1024).all()
    assert (v.sport[1:3] % 2 == 0).all()


@pytest.mark.usefixtures("mode")
def test_hairpin() -> None:
    """RFC 4787 REQ-9: two hosts inside meet by their outside endpoints, and see each other's; RFC 5382 REQ-8."""
    sent = f"""
        0    in  10.0.0.2:4000 > 192.0.2.1:53 udp hint={N}:7001  = out {N}:7001 > 192.0.2.1:53
        +0.1 in  10.0.0.3:4000 > 192.0.2.1:53 udp hint={N}:7002  = out {N}:7002 > 192.0.2.1:53
    """
    external = replace(BASE, hairpin=Hairpin.EXTERNAL_SOURCE)
    run(NatModel(external), sent + f"""
        +0.1 in  10.0.0.2:4000 > {N}:7002 udp  = in {N}:7001 > 10.0.0.3:4000
        +0.1 in  10.0.0.3:4000 > {N}:7001 udp  = in {N}:7002 > 10.0.0.2:4000
    """)
    # With a filter the first packet only opens the way for the answer.
    run(NatModel(replace(external, filtering=Filtering.ADDRESS_AND_PORT_DEPENDENT)), sent + f"""
        +0.1 in  10.0.0.2:4000 > {N}:7002 udp  = dropped FILTERED
        +0.1 in  10.0.0.2:4000 > {N}:7002 udp  = dropped FILTERED
        +0.1 in  10.0.0.3:4000 > {N}:7001 udp  = in {N}:7002 > 10.0.0.2:4000
        +0.1 in  10.0.0.2:4000 > {N}:7002 udp  = in {N}:7001 > 10.0.0.3:4000
    """)
    run(NatModel(replace(external, hairpin=Hairpin.INTERNAL_SOURCE)), sent + f"""
        +0.1 in  10.0.0.2:4000 > {N}:7002 udp  = in 10.0.0.2:4000 > 10.0.0.3:4000
    """)
    run(NatModel(BASE), sent + f"+0.1 in  10.0.0.2:4000 > {N}:7002 udp  = dropped HAIRPIN")


@pytest.mark.parametrize(("outbound", "inbound"), [(True, True), (True, False), (False, True)])
def test_refresh(outbound: bool, inbound: bool) -> None:
    """RFC 4787 REQ-6: which direction keeps a mapping alive."""
    b = replace(BASE, udp_idle_s=120, refresh_outbound=outbound, refresh_inbound=inbound)
    after_out, after_in = ("in  192.0.2.1:53 > 10.0.0.2:4000" if kept else "dropped NO_MAPPING" for kept in (outbound, inbound))
    run(NatModel(b), f"""
        0    in  10.0.0.2:4000 > 192.0.2.1:53 udp hint={N}:7001
        +100 in  10.0.0.2:4000 > 192.0.2.1:53 udp hint={N}:7001
        +100 out 192.0.2.1:53 > {N}:7001 udp    = {after_out}
    """)
    run(NatModel(b), f"""
        0    in  10.0.0.2:4000 > 192.0.2.1:53 udp hint={N}:7001
        +100 out 192.0.2.1:53 > {N}:7001 udp    = in  192.0.2.1:53 > 10.0.0.2:4000
        +100 out 192.0.2.1:53 > {N}:7001 udp    = {after_in}
    """)


def test_the_moment_it_ends() -> None:
    """A mapping lives until its idle time is over, and not at that moment."""
    for gap, result in ((119.999999, "in  192.0.2.1:53 > 10.0.0.2:4000"), (120, "dropped NO_MAPPING")):
        run(NatModel(replace(BASE, udp_idle_s=120)), f"""
            0      in  10.0.0.2:4000 > 192.0.2.1:53 udp hint={N}:7001
            +{gap} out 192.0.2.1:53 > {N}:7001 udp  = {result}
        """)


@pytest.mark.usefixtures("mode")
def test_tcp() -> None:
    """RFC 5382 REQ-2 and 5, RFC 7857 section 2: open, idle for two hours, half closed, reset, closed, simultaneous open."""
    run(NatModel(BASE), f"""
        0     in  10.0.0.2:4000 > 192.0.2.1:80 tcp A                    = dropped NO_SESSION
        +0.1  in  10.0.0.2:4000 > 192.0.2.1:80 tcp S hint={N}:7001      = out {N}:7001 > 192.0.2.1:80
        +0.1  out 192.0.2.1:80 > {N}:7001 tcp SA                        = in  192.0.2.1:80 > 10.0.0.2:4000
        +0.1  in  10.0.0.2:4000 > 192.0.2.1:80 tcp A                    = out {N}:7001 > 192.0.2.1:80
        +7439 out 192.0.2.1:80 > {N}:7001 tcp A                         = in  192.0.2.1:80 > 10.0.0.2:4000
        +7439 in  10.0.0.2:4000 > 192.0.2.1:80 tcp FA                   = out {N}:7001 > 192.0.2.1:80
        +7439 out 192.0.2.1:80 > {N}:7001 tcp A                         = in  192.0.2.1:80 > 10.0.0.2:4000
        +0.1  out 192.0.2.1:80 > {N}:7001 tcp FA                        = in  192.0.2.1:80 > 10.0.0.2:4000
        +0.1  in  10.0.0.2:4000 > 192.0.2.1:80 tcp A                    = out {N}:7001 > 192.0.2.1:80
        +241  out 192.0.2.1:80 > {N}:7001 tcp A                         = dropped NO_SESSION
        +0.1  in  10.0.0.2:5000 > 192.0.2.1:80 tcp S hint={N}:7005      = out {N}:7005 > 192.0.2.1:80
        +0.1  out 192.0.2.1:80 > {N}:7005 tcp S                         = in  192.0.2.1:80 > 10.0.0.2:5000
        +7000 out 192.0.2.1:80 > {N}:7005 tcp R                         = in  192.0.2.1:80 > 10.0.0.2:5000
        +239  in  10.0.0.2:5000 > 192.0.2.1:80 tcp A                    = out {N}:7005 > 192.0.2.1:80
        +7000 out 192.0.2.1:80 > {N}:7005 tcp R                         = in  192.0.2.1:80 > 10.0.0.2:5000
        +240  in  10.0.0.2:5000 > 192.0.2.1:80 tcp A                    = dropped NO_SESSION
        +0.1  in  10.0.0.2:6000 > 192.0.2.1:80 tcp S hint={N}:7006      = out {N}:7006 > 192.0.2.1:80
        +241  out 192.0.2.1:80 > {N}:7006 tcp SA                        = dropped NO_SESSION
    """)


@pytest.mark.usefixtures("mode")
def test_icmp() -> None:
    """RFC 5508: queries by identifier (one mapping for all remote hosts), errors in both directions with both headers."""
    run(NatModel(BASE), f"""
        0    in  10.0.0.2:7 > 192.0.2.1:7 ping hint={N}:700           = out {N}:700 > 192.0.2.1:700
        +0.1 in  10.0.0.2:7 > 192.0.2.9:7 ping                        = out {N}:700 > 192.0.2.9:700
        +0.1 out 192.0.2.1:700 > {N}:700 pong                         = in  192.0.2.1:7 > 10.0.0.2:7
        +0.1 out 192.0.2.1:700 > {N}:700 ping                         = dropped FILTERED
        +0.1 in  10.0.0.2:8 > 192.0.2.1:8 pong                        = dropped NO_SESSION
        +0.1 in  10.0.0.3:4000 > 192.0.2.1:53 udp hint={N}:7001       = out {N}:7001 > 192.0.2.1:53
        +0.1 out 192.0.2.254 > {N} about {N}:7001 > 192.0.2.1:53 udp  = in 192.0.2.254 > 10.0.0.3 about 10.0.0.3:4000 > 192.0.2.1:53
        +0.1 out 192.0.2.1 > {N} about {N}:7001 > 192.0.2.1:99 udp             = dropped UNQUOTED
        +0.1 out 192.0.2.1 > {N} about {N}:700 > 192.0.2.1:700 ping            = in 192.0.2.1 > 10.0.0.2 about 10.0.0.2:7 > 192.0.2.1:7
        +0.1 in  10.0.0.3 > 192.0.2.1 about 192.0.2.1:53 > 10.0.0.3:4000 udp   = out {N} > 192.0.2.1 about 192.0.2.1:53 > {N}:7001
        +0.1 in  10.0.0.254 > 192.0.2.1 about 192.0.2.1:53 > 10.0.0.3:4000 udp = out {N} > 192.0.2.1 about 192.0.2.1:53 > {N}:7001
        +59  out 192.0.2.9:700 > {N}:700 pong                         = in  192.0.2.9:7 > 10.0.0.2:7
        +60  out 192.0.2.9:700 > {N}:700 pong                         = dropped NO_SESSION
    """)


@pytest.mark.usefixtures("mode")
def test_fixed_mappings() -> None:
    """A forwarded port, a range of them for some remote hosts only, and 1:1."""
    b = replace(BASE, static=(
        Static(N, "10.0.0.5", "tcp", (8080, 8080), 80),
        Static(N, "10.0.0.6", "udp", (5000, 5099), 6000, remote="192.0.2.0/24"),
        Static("203.0.113.64/26", "10.0.1.64/26", outbound=True),
    ))
    run(NatModel(b), f"""
        0    out 192.0.2.1:4000 > {N}:8080 tcp S                 = in  192.0.2.1:4000 > 10.0.0.5:80
        +0.1 in  10.0.0.5:80 > 192.0.2.1:4000 tcp SA             = out {N}:8080 > 192.0.2.1:4000
        +0.1 out 192.0.2.1:4000 > {N}:8080 udp                   = dropped NO_MAPPING
        +0.1 out 192.0.2.1:4000 > {N}:5007 udp                   = in  192.0.2.1:4000 > 10.0.0.6:6007
        +0.1 out 198.51.100.1:4000 > {N}:5007 udp                = dropped NO_MAPPING
        +0.1 out 192.0.2.1 > 203.0.113.70 gre                    = in  192.0.2.1 > 10.0.1.70
        +0.1 in  10.0.1.71:99 > 192.0.2.1:53 udp                 = out 203.0.113.71:99 > 192.0.2.1:53
        +0.1 out 192.0.2.1:53 > 203.0.113.71:99 udp              = in  192.0.2.1:53 > 10.0.1.71:99
        +0.1 in  10.0.0.2:4000 > 192.0.2.1:99 udp hint={N}:5050
    """)


@pytest.mark.usefixtures("mode")
def test_prefixes_of_ipv6() -> None:
    """NPTv6: the example of RFC 6296 section 2.2 (appendix B has its sums); and without neutrality."""
    rule = Static("2001:db8:1::/48", "fd01:203:405::/48", outbound=True, neutral=True)
    run(NatModel(replace(BASE, static=(rule,))), """
        0    in  [fd01:203:405:1::1234]:99 > [2001:db8:9::1]:53 udp             = out [2001:db8:1:d550::1234]:99 > [2001:db8:9::1]:53
        +0.1 out [2001:db8:9::1]:53 > [2001:db8:1:d550::1234]:99 udp            = in  [2001:db8:9::1]:53 > [fd01:203:405:1::1234]:99
        +0.1 out [2001:db8:9::2]:53 > [2001:db8:1:d550::1234]:99 udp            = in  [2001:db8:9::2]:53 > [fd01:203:405:1::1234]:99
    """)
    run(NatModel(replace(BASE, static=(replace(rule, neutral=False),))), """
        0    in  [fd01:203:405:1::1234]:99 > [2001:db8:9::1]:53 udp             = out [2001:db8:1:1::1234]:99 > [2001:db8:9::1]:53
    """)


@pytest.mark.usefixtures("mode")
def test_nat64() -> None:
    """RFC 6146: IPv6 inside, IPv4 outside, by the well-known prefix."""
    run(NatModel(replace(BASE, nat64="64:ff9b::/96")), f"""
        0    in  [2001:db8::2]:4000 > [64:ff9b::192.0.2.1]:53 udp hint={N}:7001   = out {N}:7001 > 192.0.2.1:53
        +0.1 out 192.0.2.1:53 > {N}:7001 udp                                      = in  [64:ff9b::c000:201]:53 > [2001:db8::2]:4000
        +0.1 in  [2001:db8::2]:7 > [64:ff9b::192.0.2.1]:7 ping hint={N}:700       = out {N}:700 > 192.0.2.1:700
    """)


@pytest.mark.usefixtures("mode")
def test_pools() -> None:
    """RFC 4787 REQ-2: paired keeps a host at one address while it has a mapping, arbitrary believes every address of the pool."""
    script = """
        0    in  10.0.0.2:4000 > 192.0.2.1:53 udp hint=203.0.113.5:7001  = out 203.0.113.5:7001 > 192.0.2.1:53
        +0.1 in  10.0.0.2:4001 > 192.0.2.1:53 udp hint=203.0.113.6:7001  = out 203.0.113.{}:{} > 192.0.2.1:53
        +0.1 in  10.0.0.2:4002 > 192.0.2.1:53 udp hint=203.0.113.9:7003
    """
    pool = replace(BASE, addresses=("203.0.113.4/30",), port_ranges=(PortRange(7001, 7001),), port_overloading=True)
    v = run(NatModel(replace(pool, pooling=Pooling.ARBITRARY)), script.format(6, 7001))
    assert v.choice[2] == 3
    v = run(NatModel(replace(pool, port_ranges=(PortRange(7001, 7002),))), script.format(5, 7002))
    assert v.choice[1] == 3


@pytest.mark.usefixtures("mode")
def test_blocks_quota_and_shares() -> None:
    """RFC 6888 REQ-4 and block allocation: a second block, none beyond the limit, none of another host; RFC 7422's shares."""
    b = replace(BASE, port_choice=PortChoice.BLOCK, block_size=2, blocks_per_host=2, port_ranges=(PortRange(7000, 7009),))
    v = run(NatModel(b), f"""
        0    in  10.0.0.2:4000 > 192.0.2.1:53 udp hint={N}:7002  = out {N}:7002 > 192.0.2.1:53
        +0.1 in  10.0.0.3:4000 > 192.0.2.1:53 udp hint={N}:7003
        +0.1 in  10.0.0.2:4001 > 192.0.2.1:53 udp hint={N}:7003  = out {N}:7003 > 192.0.2.1:53
        +0.1 in  10.0.0.2:4002 > 192.0.2.1:53 udp hint={N}:7008  = out {N}:7008 > 192.0.2.1:53
        +0.1 in  10.0.0.2:4003 > 192.0.2.1:53 udp                = out {N}:7009 > 192.0.2.1:53
        +0.1 in  10.0.0.2:4004 > 192.0.2.1:53 udp                = dropped NO_PORT
    """)
    assert v.choice.tolist() == [2, 3, 2, 2, 4, 4]
    run(NatModel(replace(BASE, ports_per_host=2)), """
        0    in  10.0.0.2:4000 > 192.0.2.1:53 udp
        +0.1 in  10.0.0.2:4001 > 192.0.2.1:53 udp
        +0.1 in  10.0.0.2:4002 > 192.0.2.1:53 udp                = dropped QUOTA
        +0.1 in  10.0.0.3:4002 > 192.0.2.1:53 udp
        +300 in  10.0.0.2:4002 > 192.0.2.1:53 udp
    """)
    shares = replace(BASE, port_choice=PortChoice.STATIC, port_ranges=(PortRange(1024, 65535),), inside=("10.0.0.0/28",))
    v = run(NatModel(shares), f"""
        0    in  10.0.0.2:4000 > 192.0.2.1:53 udp hint={N}:9088  = out {N}:9088 > 192.0.2.1:53
        +0.1 in  10.0.0.2:4001 > 192.0.2.1:53 udp hint={N}:9087
        +0.1 in  10.0.0.3:4001 > 192.0.2.1:53 udp hint={N}:13120 = out {N}:13120 > 192.0.2.1:53
        +0.1 in  10.0.1.3:4001 > 192.0.2.1:53 udp                = dropped NOT_INSIDE
    """)
    assert v.choice.tolist() == [2, 3, 2, 0]


@pytest.mark.usefixtures("mode")
def test_sequence() -> None:
    """Ports one after the other: what was seen is believed once, from then on it has to be the next one."""
    b = replace(BASE, port_choice=PortChoice.SEQUENTIAL, port_ranges=(PortRange(7000, 7003),))
    v = run(NatModel(b), f"""
        0    in  10.0.0.2:4000 > 192.0.2.1:53 udp hint={N}:7002  = out {N}:7002 > 192.0.2.1:53
        +0.1 in  10.0.0.2:4001 > 192.0.2.1:53 udp hint={N}:7003  = out {N}:7003 > 192.0.2.1:53
        +0.1 in  10.0.0.2:4002 > 192.0.2.1:53 udp hint={N}:7001  = out {N}:7000 > 192.0.2.1:53
    """)
    assert v.choice.tolist() == [2, 1, 3]


def test_what_does_not_pass() -> None:
    """TTL, groups, fragments, protocols."""
    run(NatModel(BASE), f"""
        0    in  10.0.0.2:4000 > 192.0.2.1:53 udp ttl=1          = dropped TTL
        +0.1 in  10.0.0.2:4000 > 224.0.0.251:53 udp              = dropped GROUP
        +0.1 in  169.254.0.2:4000 > 192.0.2.1:53 udp             = dropped GROUP
        +0.1 in  10.0.0.2:4000 > 192.0.2.1:53 udp fragment=3         = dropped FRAGMENT
        +0.1 in  10.0.0.2 > 192.0.2.1 gre                        = out {N} > 192.0.2.1
        +0.1 in  10.0.0.3 > 192.0.2.1 gre                        = dropped NO_PORT
        +0.1 out 192.0.2.1 > {N} gre                             = in  192.0.2.1 > 10.0.0.2
        +0.1 out 192.0.2.1:5 > 10.0.0.2:6 udp                    = dropped NO_MAPPING
    """)


@pytest.mark.usefixtures("mode")
def test_table_full() -> None:
    """As many sessions as there is room for; the dead make room."""
    model = NatModel(replace(BASE, table_size=2, udp_idle_s=30))
    run(model, """
        0    in  10.0.0.2:4000 > 192.0.2.1:53 udp
        +0.1 in  10.0.0.2:4001 > 192.0.2.1:53 udp
        +0.1 in  10.0.0.2:4002 > 192.0.2.1:53 udp                = dropped TABLE_FULL
        +30  in  10.0.0.2:4002 > 192.0.2.1:53 udp
    """)
    assert len(model.sessions()) == 1
