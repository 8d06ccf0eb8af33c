"""netfilter's own ways, as they were measured on Linux 6.18: the newest mapping wins, what is free, states, what leaves untranslated."""
from __future__ import annotations

from dataclasses import replace

import pytest
from steps import run

from pcapnat.model import NatModel
from pcapnat.nat.behavior import Hairpin, PortRange, Static
from pcapnat.nat.presets import PRESETS

N = "203.0.113.1"
LINUX = replace(PRESETS["linux-masquerade"].behavior, addresses=(N,), router="10.0.0.254")


@pytest.mark.usefixtures("mode")
def test_the_newest_mapping_wins() -> None:
    """Preserved ports are shared towards different servers; a socket that lost its port once keeps the new one for later servers."""
    v = run(NatModel(LINUX), f"""
        0    in 10.0.0.1:5000 > 198.51.100.1:53 udp hint={N}:5000  = out {N}:5000 > 198.51.100.1:53
        +0.1 in 10.0.0.2:5000 > 198.51.100.3:53 udp hint={N}:5000  = out {N}:5000 > 198.51.100.3:53
        +0.1 in 10.0.0.2:5000 > 198.51.100.1:53 udp hint={N}:31337 = out {N}:31337 > 198.51.100.1:53
        +0.1 in 10.0.0.2:5000 > 198.51.100.4:53 udp hint={N}:31337 = out {N}:31337 > 198.51.100.4:53
        +0.1 in 10.0.0.2:5000 > 198.51.100.5:53 udp hint={N}:5000  = out {N}:31337 > 198.51.100.5:53
        +0.1 in 10.0.0.3:5000 > 198.51.100.6:53 udp                = out {N}:5000 > 198.51.100.6:53
        +0.1 in 10.0.0.3:550 > 198.51.100.6:53 udp                 = out {N}:550 > 198.51.100.6:53
        +0.1 in 10.0.0.4:550 > 198.51.100.6:53 udp hint={N}:550
        +0.1 in 10.0.0.1:5000 > 198.51.100.1:53 tcp S              = out {N}:5000 > 198.51.100.1:53
    """)
    assert v.choice.tolist() == [1, 1, 2, 1, 1, 1, 1, 3, 1]
    assert 600 <= v.sport[7] <= 1023


def test_a_range_of_ports_and_its_end() -> None:
    """Four ports serve four hosts towards one server, and as many towards the next; who comes late is dropped without a word."""
    b = replace(LINUX, port_ranges=(PortRange(40000, 40003),), keeps_any_port=False)
    hosts = "\n".join(
        f"+0.1 in 10.0.0.{n}:5000 > 198.51.100.{s}:80 tcp S {'= dropped NO_PORT' if n > 4 else ''}" for s in (1, 2) for n in range(1, 7)
    )
    v = run(NatModel(b), hosts.replace("+0.1", "0", 1))
    assert sorted(v.sport[:4].tolist()) == sorted(v.sport[6:10].tolist()) == [40000, 40001, 40002, 40003]


def test_random_makes_every_session_new() -> None:
    """One socket, two servers, two ports; the class of the inside port still counts."""
    b = replace(PRESETS["linux-random"].behavior, addresses=(N,))
    v = run(NatModel(b), f"""
        0    in 10.0.0.1:5000 > 198.51.100.1:53 udp hint={N}:2000  = out {N}:2000 > 198.51.100.1:53
        +0.1 in 10.0.0.1:5000 > 198.51.100.2:53 udp hint={N}:3000  = out {N}:3000 > 198.51.100.2:53
        +0.1 in 10.0.0.1:100 > 198.51.100.2:53 udp hint={N}:3000
    """)
    assert v.choice.tolist() == [2, 2, 3]
    assert v.sport[2] < 512


@pytest.mark.usefixtures("mode")
def test_tcp_states_and_times() -> None:
    """Refused at once, a SYN again prolongs nothing, closing, and a new connection on the old ports."""
    run(NatModel(LINUX), f"""
        0    in  10.0.0.1:5000 > 198.51.100.1:80 tcp S    = out {N}:5000 > 198.51.100.1:80
        +0.1 out 198.51.100.1:80 > {N}:5000 tcp RA        = in  198.51.100.1:80 > 10.0.0.1:5000
        +0.1 out 198.51.100.1:80 > {N}:5000 tcp RA        = local
        +0.1 in  10.0.0.1:5001 > 198.51.100.1:80 tcp S    = out {N}:5001 > 198.51.100.1:80
        +100 in  10.0.0.1:5001 > 198.51.100.1:80 tcp S    = out {N}:5001 > 198.51.100.1:80
        +30  out 198.51.100.1:80 > {N}:5001 tcp SA        = local
        +0.1 in  10.0.0.1:5002 > 198.51.100.1:80 tcp S    = out {N}:5002 > 198.51.100.1:80
        +0.1 out 198.51.100.1:80 > {N}:5002 tcp SA        = in  198.51.100.1:80 > 10.0.0.1:5002
        +0.1 in  10.0.0.1:5002 > 198.51.100.1:80 tcp A    = out {N}:5002 > 198.51.100.1:80
        +90000 out 198.51.100.1:80 > {N}:5002 tcp FA      = in  198.51.100.1:80 > 10.0.0.1:5002
        +0.1 in  10.0.0.1:5002 > 198.51.100.1:80 tcp A    = out {N}:5002 > 198.51.100.1:80
        +0.1 in  10.0.0.1:5002 > 198.51.100.1:80 tcp FA   = out {N}:5002 > 198.51.100.1:80
        +0.1 out 198.51.100.1:80 > {N}:5002 tcp A         = in  198.51.100.1:80 > 10.0.0.1:5002
        +60  in  10.0.0.1:5002 > 198.51.100.1:80 tcp S    = out {N}:5002 > 198.51.100.1:80
        +0.1 in  10.0.0.9:5002 > 198.51.100.1:80 tcp S hint={N}:5002
        +200 out 198.51.100.1:80 > {N}:5002 tcp A         = local
        +0.1 in  10.0.0.1:5003 > 198.51.100.1:80 tcp S    = out {N}:5003 > 198.51.100.1:80
        +0.1 out 198.51.100.1:80 > {N}:5003 tcp S         = in  198.51.100.1:80 > 10.0.0.1:5003
    """)


def test_before_1970() -> None:
    """A capture whose clock was not set: a closed connection is as dead as at any other time."""
    run(NatModel(LINUX), f"""
        -9000 in  10.0.0.1:5000 > 198.51.100.1:80 tcp S    = out {N}:5000 > 198.51.100.1:80
        +0.1  out 198.51.100.1:80 > {N}:5000 tcp SA        = in  198.51.100.1:80 > 10.0.0.1:5000
        +0.1  out 198.51.100.1:80 > {N}:5000 tcp R         = in  198.51.100.1:80 > 10.0.0.1:5000
        +0.1  in  10.0.0.1:5000 > 198.51.100.1:80 tcp S    = out {N}:5000 > 198.51.100.1:80
        +0.1  out 198.51.100.1:80 > {N}:5000 tcp SA        = in  198.51.100.1:80 > 10.0.0.1:5000
    """)


def test_what_leaves_untranslated() -> None:
    """Segments without a state leave with the private source, unless the box drops them; the middle of a connection is taken up."""
    run(NatModel(LINUX), f"""
        0    in  10.0.0.1:5000 > 198.51.100.1:80 tcp FA   = out 10.0.0.1:5000 > 198.51.100.1:80
        +0.1 in  10.0.0.1:5000 > 198.51.100.1:80 tcp R    = out 10.0.0.1:5000 > 198.51.100.1:80
        +0.1 in  10.0.0.1:5000 > 198.51.100.1:80 tcp SA   = out 10.0.0.1:5000 > 198.51.100.1:80
        +0.1 in  10.0.0.1 > 192.0.2.1 about 192.0.2.1:80 > 10.0.0.1:5 tcp S = out 10.0.0.1 > 192.0.2.1 about 192.0.2.1:80 > 10.0.0.1:5
        +0.1 in  10.0.0.1:5000 > 198.51.100.1:80 tcp A    = out {N}:5000 > 198.51.100.1:80
        +299 in  10.0.0.1:5000 > 198.51.100.1:80 tcp A    = out {N}:5000 > 198.51.100.1:80
        +301 out 198.51.100.1:80 > {N}:5000 tcp A         = local
    """)


@pytest.mark.usefixtures("mode")
def test_udp_times() -> None:
    """30 s, and 120 s only from a packet on that comes more than two seconds after the first, if an answer came before it."""
    run(NatModel(LINUX), f"""
        0    in  10.0.0.1:5000 > 198.51.100.1:53 udp      = out {N}:5000 > 198.51.100.1:53
        +0.1 out 198.51.100.1:53 > {N}:5000 udp           = in  198.51.100.1:53 > 10.0.0.1:5000
        +30  out 198.51.100.1:53 > {N}:5000 udp           = local
        +60  in  10.0.0.1:5001 > 198.51.100.1:53 udp      = out {N}:5001 > 198.51.100.1:53
        +1   out 198.51.100.1:53 > {N}:5001 udp           = in  198.51.100.1:53 > 10.0.0.1:5001
        +2   in  10.0.0.1:5001 > 198.51.100.1:53 udp      = out {N}:5001 > 198.51.100.1:53
        +119 out 198.51.100.1:53 > {N}:5001 udp           = in  198.51.100.1:53 > 10.0.0.1:5001
        +120 out 198.51.100.1:53 > {N}:5001 udp           = local
    """)


def test_an_early_hole_punch_takes_the_port() -> None:
    """A peer's packet that the box's own host took holds the pair of endpoints; with another inside port nothing is in the way."""
    v = run(NatModel(LINUX), f"""
        0    out 198.51.100.1:6000 > {N}:5000 udp              = local
        +0.1 in  10.0.0.1:5000 > 198.51.100.1:6000 udp hint={N}:58367 = out {N}:58367 > 198.51.100.1:6000
        +0.1 in  10.0.0.1:5001 > 198.51.100.1:6000 udp         = out {N}:5001 > 198.51.100.1:6000
    """)
    assert v.choice.tolist() == [0, 2, 1]


def test_forwarded_ports_and_hairpins() -> None:
    """DNAT from outside; from inside with and without masquerading there; to a dynamic mapping never; the port is not reserved."""
    b = replace(LINUX, static=(Static(N, "10.0.0.12", "tcp", (8080, 8080), 80),))
    script = f"""
        0    out 198.51.100.1:4000 > {N}:8080 tcp S        = in  198.51.100.1:4000 > 10.0.0.12:80
        +0.1 in  10.0.0.12:80 > 198.51.100.1:4000 tcp SA   = out {N}:8080 > 198.51.100.1:4000
        +0.1 in  10.0.0.3:8080 > 198.51.100.1:80 tcp S     = out {N}:8080 > 198.51.100.1:80
        +0.1 in  10.0.0.3:9000 > 198.51.100.1:80 udp       = out {N}:9000 > 198.51.100.1:80
        +0.1 in  10.0.0.2:4000 > {N}:9000 udp              = local
    """
    run(NatModel(b), script + f"""
        +0.1 in  10.0.0.2:4000 > {N}:8080 tcp S            = in  10.0.0.2:4000 > 10.0.0.12:80
    """)
    run(NatModel(replace(b, hairpin=Hairpin.ROUTER_SOURCE)), script + f"""
        +0.1 in  10.0.0.2:4000 > {N}:8080 tcp S            = in  10.0.0.254:4000 > 10.0.0.12:80
        +0.1 in  10.0.0.12:80 > 10.0.0.254:4000 tcp SA     = in  {N}:8080 > 10.0.0.2:4000
        +0.1 in  10.0.0.2:53 > 10.0.0.254:53 udp           = local
    """)


def test_sessions_older_than_the_capture() -> None:
    """What was seen is taken as it is, whichever direction came first."""
    run(NatModel(LINUX), f"""
        0    in  10.0.0.1:5000 > 198.51.100.1:80 tcp A before={N}:7777     = out {N}:7777 > 198.51.100.1:80
        +0.1 out 198.51.100.1:80 > {N}:8888 tcp A before=10.0.0.2:5000     = in  198.51.100.1:80 > 10.0.0.2:5000
        +0.1 in  10.0.0.2:5000 > 198.51.100.1:80 tcp A                     = out {N}:8888 > 198.51.100.1:80
        +0.1 out 198.51.100.1:9 > {N}:9 pong before=10.0.0.2:8             = in  198.51.100.1:8 > 10.0.0.2:8
        +0.1 in  10.0.0.7:6000 > 198.51.100.1:80 tcp FA before={N}:7778    = out {N}:7778 > 198.51.100.1:80
    """)
