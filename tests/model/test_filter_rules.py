"""Filter rules in the model: before and after translation, by state, and what they leave of a session."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from steps import frames, run

from pcapnat.config.iptables import iptables
from pcapnat.config.translate import behavior_of
from pcapnat.model import REASONS, NatModel, Reason
from pcapnat.nat.filters import Action, Condition, Filter, Hook

N = "203.0.113.1"


def model(rules: str, nat: str = "", forward: str = "ACCEPT", table: str = "filter") -> NatModel:
    """A masquerading Linux between lan and wan with these rules."""
    extra = ":gate - [0:0]\n" if "gate" in rules else ""
    text = (
        f"*nat\n:PREROUTING ACCEPT\n:POSTROUTING ACCEPT\n-A POSTROUTING -o wan -j MASQUERADE\n{nat}\nCOMMIT\n"
        f"*{table}\n:PREROUTING ACCEPT\n:INPUT ACCEPT\n:FORWARD {forward}\n{extra}"
        + "\n".join(s.strip() for s in rules.splitlines())
        + "\nCOMMIT\n"
    )
    behavior = behavior_of(iptables(text), "custom", "made")
    assert behavior.unmodelled == ()
    return NatModel(replace(behavior, addresses=(N,)))


@pytest.mark.usefixtures("mode")
def test_a_dropped_packet_opens_nothing() -> None:
    """What is dropped as it would open a session leaves no mapping behind."""
    m = model("-A FORWARD -i lan -p tcp -m tcp --dport 445 -j DROP")
    v = run(m, f"""
        0    in  10.0.0.1:5000 > 198.51.100.1:445 tcp S  = dropped BARRED
        +1   in  10.0.0.1:5000 > 198.51.100.1:445 tcp S  = dropped BARRED
        +0.1 in  10.0.0.2:5000 > 198.51.100.1:445 udp    = out {N}:5000 > 198.51.100.1:445
        +0.1 in  10.0.0.1:5000 > 198.51.100.1:80 tcp S   = out {N}:5000 > 198.51.100.1:80
        +0.1 out 198.51.100.1:445 > {N}:5000 tcp SA      = dropped NO_SESSION
    """.replace("dropped NO_SESSION", "local"))
    assert m.sessions_made == 2
    assert v.barred.tolist()[:3] == [1, 1, -1], "the first row skips what is of another version of IP"


@pytest.mark.usefixtures("mode")
def test_states() -> None:
    """Established passes, new from outside does not; errors about a session are related; what fits nothing is invalid."""
    run(model("""
        -A FORWARD -m conntrack --ctstate INVALID -j DROP
        -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
        -A FORWARD -i lan -j ACCEPT""", "-A PREROUTING -i wan -p tcp --dport 80 -j DNAT --to-destination 10.0.0.9", "DROP"), f"""
        0    in  10.0.0.1:5000 > 198.51.100.1:80 tcp S          = out {N}:5000 > 198.51.100.1:80
        +0.1 out 198.51.100.1:80 > {N}:5000 tcp SA              = in 198.51.100.1:80 > 10.0.0.1:5000
        +0.1 in  10.0.0.1:5000 > 198.51.100.1:80 tcp A          = out {N}:5000 > 198.51.100.1:80
        +0.1 in  10.0.0.1:6000 > 198.51.100.1:80 tcp R          = dropped BARRED
        +0.1 out 198.51.100.7:999 > {N}:80 tcp S                = dropped BARRED
        +0.1 in  10.0.0.1:5000 > 198.51.100.9:53 udp            = out {N}:5000 > 198.51.100.9:53
        +0.1 out 192.0.2.5 > {N} about {N}:5000 > 198.51.100.9:53 udp = in 192.0.2.5 > 10.0.0.1 about 10.0.0.1:5000 > 198.51.100.9:53
    """)


@pytest.mark.usefixtures("mode")
def test_errors_can_be_stopped() -> None:
    run(model("-A FORWARD -m conntrack --ctstate RELATED -j DROP"), f"""
        0    in  10.0.0.1:5000 > 198.51.100.9:53 udp            = out {N}:5000 > 198.51.100.9:53
        +0.1 out 192.0.2.5 > {N} about {N}:5000 > 198.51.100.9:53 udp = dropped BARRED
        +0.1 out 198.51.100.9:53 > {N}:5000 udp                 = in 198.51.100.9:53 > 10.0.0.1:5000
    """)


@pytest.mark.usefixtures("mode")
def test_a_rule_sees_the_destination_translated_and_the_source_not() -> None:
    """In forward, a forwarded port's inside address and port count, and the client's own address outside."""
    nat = "-A PREROUTING -i wan -p tcp --dport 8080 -j DNAT --to-destination 10.0.0.9:80"
    run(model("-A FORWARD -d 10.0.0.9/32 -p tcp --dport 80 -s 198.51.100.66/32 -j DROP\n-A FORWARD -d 203.0.113.1/32 -j DROP", nat), f"""
        0    out 198.51.100.66:999 > {N}:8080 tcp S = dropped BARRED
        +0.1 out 198.51.100.67:999 > {N}:8080 tcp S = in 198.51.100.67:999 > 10.0.0.9:80
        +0.1 in  10.0.0.9:80 > 198.51.100.67:999 tcp SA = out {N}:8080 > 198.51.100.67:999
    """)
    run(model("-A PREROUTING -d 203.0.113.1/32 -p tcp --dport 8080 -s 198.51.100.66/32 -j DROP", nat, table="mangle"), f"""
        0    out 198.51.100.66:999 > {N}:8080 tcp S = dropped BARRED
        +0.1 out 198.51.100.67:999 > {N}:8080 tcp S = in 198.51.100.67:999 > 10.0.0.9:80
    """)


@pytest.mark.usefixtures("mode")
def test_a_stopped_packet_in_a_session_is_still_followed() -> None:
    """conntrack comes before the filter: a dropped reset closes the session, one dropped in raw does not."""
    script = f"""
        0    in  10.0.0.1:5000 > 198.51.100.1:80 tcp S          = out {N}:5000 > 198.51.100.1:80
        +0.1 out 198.51.100.1:80 > {N}:5000 tcp SA              = in 198.51.100.1:80 > 10.0.0.1:5000
        +0.1 in  10.0.0.1:5000 > 198.51.100.1:80 tcp A          = out {N}:5000 > 198.51.100.1:80
        +0.1 out 198.51.100.1:80 > {N}:5000 tcp R               = dropped BARRED
        +60  out 198.51.100.1:80 > {N}:5000 tcp A               = """
    rule = "-p tcp --tcp-flags RST RST -j DROP"
    run(model(f"-A FORWARD {rule}"), script + "local")
    run(model(f"-A PREROUTING {rule}", table="raw"), script + "in 198.51.100.1:80 > 10.0.0.1:5000")


@pytest.mark.usefixtures("mode")
def test_called_chains_return_and_the_box_itself() -> None:
    run(model("""
        -A FORWARD -i lan -j gate
        -A FORWARD -p udp -j DROP
        -A gate -p udp --dport 53 -j RETURN
        -A gate -p udp -j ACCEPT
        -A INPUT -i wan -p tcp -j DROP"""), f"""
        0    in  10.0.0.1:5000 > 198.51.100.1:53 udp  = dropped BARRED
        +0.1 in  10.0.0.1:5000 > 198.51.100.1:54 udp  = out {N}:5000 > 198.51.100.1:54
        +0.1 out 198.51.100.1:54 > {N}:5000 udp       = dropped BARRED
        +0.1 out 198.51.100.2:54 > {N}:5001 tcp S     = dropped BARRED
        +0.1 out 198.51.100.2:54 > {N}:5001 udp       = local
    """)


def test_conditions_one_by_one() -> None:
    """Each condition alone stops exactly the frames it means, and negated exactly the others."""
    lines = ["0 in 10.0.0.1:5000 > 198.51.100.1:53 udp", "+1 in 10.0.0.2:600 > 198.51.100.2:80 tcp S",
             "+1 in 10.0.0.2 > 198.51.100.2 gre", "+1 in 10.0.0.3:7 > 198.51.100.2:7 ping"]  # fmt: skip
    base = 0xFFFF << 32
    wanted = {
        ("src", ((base + 0x0A000002, base + 0x0A000003),)): [1, 2, 3],
        ("dst", tuple((base + 0xC6336400 + k, base + 0xC6336400 + k) for k in range(1, 40, 2))): [0],
        ("sport", ((600, 700), (7, 7))): [1, 3],
        ("dport", ((53, 53),)): [0],
        ("proto", ((6, 17),)): [0, 1],
        ("kind", ((2, 2),)): [3],
        ("flags", ((18, 2),)): [1],
        ("entered", ((0, 0),)): [0, 1, 2, 3],
        ("leaves", ((0, 0),)): [],
        ("version", ((6, 6),)): [],
        ("state", ((0, 0),)): [0, 1, 2, 3],
        ("status", ((0, 0),)): [0, 1, 2, 3],
        ("fragment", ((1, 1),)): [],
    }
    plain = model("")
    for (field, ranges), rows in wanted.items():
        for negated in (False, True):
            rule = Filter(Hook.FORWARD, 0, Action.DROP, (Condition(field, ranges, negated),))
            t, q, _ = frames(lines)
            v, _ = NatModel(replace(plain.behavior, filters=(rule,))).play(t, q)
            stopped = np.flatnonzero(v.reason == REASONS.index(Reason.BARRED)).tolist()
            assert stopped == (sorted(set(range(4)) - set(rows)) if negated else rows), (field, negated)


@pytest.mark.usefixtures("mode")
def test_a_pool_of_both_versions_of_ip() -> None:
    """An outside address is of the version of where the packet goes."""
    m = NatModel(replace(model("").behavior, inside=(), addresses=(N, "2001:db8:f::1")))
    lines = [f"+1 in 10.0.0.1:5000 > 198.51.100.1:53 udp = out {N}:5000 > 198.51.100.1:53"]
    lines += ["+1 in [fd00::1]:5000 > [2001:db8:5::1]:53 udp = out [2001:db8:f::1]:5000 > [2001:db8:5::1]:53"]
    lines += [f"+1 in 10.0.1.{k}:{6000 + k} > 198.51.100.1:53 udp = out {N}:{6000 + k} > 198.51.100.1:53" for k in range(9)]
    run(m, "\n".join(lines))


def test_frames_in_parts() -> None:
    """The state of earlier parts counts in later ones."""
    m = model("-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT\n-A FORWARD -i lan -p udp -j ACCEPT", forward="DROP")
    run(m, f"0 in 10.0.0.1:5000 > 198.51.100.1:53 udp = out {N}:5000 > 198.51.100.1:53")
    run(m, f"1 out 198.51.100.1:53 > {N}:5000 udp = in 198.51.100.1:53 > 10.0.0.1:5000")
    run(m, "2 in 10.0.0.1:5000 > 198.51.100.1:80 tcp S = dropped BARRED")
