"""What nft and iptables say of a NAT's rules becomes a behavior; what has no counterpart is listed, and no input makes a traceback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import made_rules as m
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_rules import DROP, PORTED, daddr, dport, iif, iptables, match, meta, net, nft, oif, payload, saddr

from pcapnat.config import chosen
from pcapnat.nat.behavior import Hairpin, Mapping, NatBehavior, Pooling, PortChoice, PortRange, Source, Static
from pcapnat.nat.filters import Action, Hook
from pcapnat.nat.presets import PRESETS
from pcapnat.terms import PcapnatError

LINUX = PRESETS["linux-masquerade"].behavior
MASQUERADE: dict[str, Any] = {"masquerade": None}


def read(tmp_path: Path, text: str, changes: str = "") -> NatBehavior:
    """The behavior of a file with this text."""
    path = tmp_path / "rules"
    path.write_text(text)
    return chosen(f"{path}{changes}")


def snat(addr: Any, port: Any = None, flags: Any = None) -> dict[str, Any]:
    return {"snat": {k: v for k, v in (("addr", addr), ("port", port), ("flags", flags)) if v is not None}}


RANDOM = {"mapping": Mapping.ADDRESS_AND_PORT_DEPENDENT, "port_choice": PortChoice.RANDOM, "keeps_any_port": False}
RANGE = {"port_ranges": (PortRange(40000, 40099),), "keeps_any_port": False}
OUT = "-A POSTROUTING -o wan -j"
SOURCES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "masquerade": (nft(post=[[oif("wan"), MASQUERADE]]), iptables(f"{OUT} MASQUERADE"), {}),
    "random": (nft(post=[[oif("wan"), {"masquerade": {"flags": "random"}}]]), iptables(f"{OUT} MASQUERADE --random"), RANDOM),
    "fully random": (
        nft(post=[[oif("wan"), {"masquerade": {"flags": ["fully-random"]}}]]),
        iptables(f"{OUT} MASQUERADE --random-fully"),
        RANDOM,
    ),
    "pool": (
        nft(post=[[oif("wan"), snat(net("203.0.113.64", 30))]]),
        iptables(f"{OUT} SNAT --to-source 203.0.113.64-203.0.113.67"),
        {"addresses": ("203.0.113.64/30",)},
    ),
    "pool, persistent": (
        nft(post=[[oif("wan"), snat({"range": ["203.0.113.64", "203.0.113.67"]}, flags="persistent")]]),
        iptables(f"{OUT} SNAT --to-source 203.0.113.64-203.0.113.67 --persistent"),
        {"addresses": ("203.0.113.64/30",), "pooling": Pooling.PAIRED},
    ),
    "ports for TCP and UDP": (
        nft(post=[[oif("wan"), PORTED, snat("203.0.113.9", {"range": [40000, 40099]})], [oif("wan"), MASQUERADE]]),
        iptables(f"""{OUT.replace("-j", "-p tcp -j")} SNAT --to-source 203.0.113.9:40000-40099
                     {OUT.replace("-j", "-p udp -j")} SNAT --to-source 203.0.113.9:40000-40099
                     {OUT} MASQUERADE"""),
        {**RANGE, "addresses": ("203.0.113.9",)},
    ),
    "some hosts": (
        nft(post=[[oif("wan"), saddr(net("10.0.0.0", 24)), MASQUERADE], [oif("wan"), saddr("10.1.0.9"), MASQUERADE]]),
        iptables("-A POSTROUTING -s 10.0.0.0/24 -o wan -j MASQUERADE\n-A POSTROUTING -s 10.1.0.9/32 -o wan -j MASQUERADE"),
        {"inside": ("10.0.0.0/24", "10.1.0.9")},
    ),
    "an address for one host": (
        nft(post=[[oif("wan"), saddr("10.0.0.9"), snat("203.0.113.7")], [oif("wan"), MASQUERADE]]),
        iptables(f"-A POSTROUTING -s 10.0.0.9/32 -o wan -j SNAT --to-source 203.0.113.7\n{OUT} MASQUERADE"),
        {"sources": (Source("10.0.0.9", "203.0.113.7"),)},
    ),
    "not to themselves": (
        nft(post=[[oif("wan"), saddr(net("10.0.0.0", 24)), match(payload("ip", "daddr"), net("10.0.0.0", 24), "!="), MASQUERADE]]),
        iptables("-A POSTROUTING -s 10.0.0.0/24 ! -d 10.0.0.0/24 -o wan -j MASQUERADE"),
        {"inside": ("10.0.0.0/24",)},
    ),
    "all but the inside interface": (
        nft(post=[[saddr(net("172.17.0.0", 16)), oif("docker0", "!="), MASQUERADE]]),
        iptables("-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE"),
        {"inside": ("172.17.0.0/16",)},
    ),
    "1:1": (
        nft(
            pre=[[iif("wan"), {"dnat": {"addr": {"map": {"key": payload("ip", "daddr"), "data": {"set": [
                [net("198.51.100.0", 24), net("10.0.0.0", 24)]]}}}, "flags": "netmap"}}]],
            post=[[oif("wan"), {"snat": {"addr": {"map": {"key": payload("ip", "saddr"), "data": {"set": [
                [net("10.0.0.0", 24), net("198.51.100.0", 24)]]}}}, "flags": "netmap"}}]],
        ),
        iptables("""-A PREROUTING -i wan -d 198.51.100.0/24 -j NETMAP --to 10.0.0.0/24
                    -A POSTROUTING -o wan -s 10.0.0.0/24 -j NETMAP --to 198.51.100.0/24"""),
        {"static": (Static("198.51.100.0/24", "10.0.0.0/24", outbound=True),), "port_choice": PortChoice.STATIC,
         "mapping": Mapping.ADDRESS_AND_PORT_DEPENDENT, "inside": ()},
    ),
    "addresses in turns": (
        nft(post=[[oif("wan"), {"snat": {"addr": {"map": {"key": {"numgen": {"mode": "random", "mod": 2}}, "data": {"set": [
            [0, "203.0.113.4"], [1, "203.0.113.7"]]}}}}}]]),
        iptables(f"""-A POSTROUTING -o wan -m statistic --mode nth --every 2 --packet 0 -j SNAT --to-source 203.0.113.4
                     {OUT} SNAT --to-source 203.0.113.7"""),
        {"addresses": ("203.0.113.4", "203.0.113.7")},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SOURCES)
def test_source_nat(name: str, tmp_path: Path) -> None:
    """Both ways of writing a rule say the same, and nothing else than meant."""
    for text in SOURCES[name][:2]:
        found = read(tmp_path, text)
        assert found.unmodelled == ()
        for field in ("mapping", "port_choice", "keeps_any_port", "port_ranges", "addresses", "pooling", "inside", "sources", "static",
                      "icmp_queries", "hairpin"):  # fmt: skip
            usual = {"hairpin": Hairpin.NONE, "inside": ("0.0.0.0/0",)}.get(field, getattr(LINUX, field))
            wanted = SOURCES[name][2].get(field, usual)
            assert getattr(found, field) == wanted, field
        assert found.complete
        assert "outside" in found.notes[0]


IN = "-A PREROUTING -i wan"
DNAT: dict[str, Any] = {"dnat": {"addr": "10.0.0.2", "port": 80}}
FORWARDS: dict[str, tuple[str, str, tuple[Static, ...], Hairpin]] = {
    "a port": (
        nft(pre=[[iif("wan"), daddr("203.0.113.1"), dport("tcp", 8080), DNAT]]),
        iptables(f"{IN} -d 203.0.113.1/32 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.0.0.2:80"),
        (Static("203.0.113.1", "10.0.0.2", "6", (8080, 8080), 80),),
        Hairpin.NONE,
    ),
    "from either side": (
        nft(pre=[[daddr("203.0.113.1"), dport("tcp", 8080), DNAT]]),
        iptables("-A PREROUTING -d 203.0.113.1/32 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.0.0.2:80"),
        (Static("203.0.113.1", "10.0.0.2", "6", (8080, 8080), 80),),
        Hairpin.INTERNAL_SOURCE,
    ),
    "of every address": (
        nft(pre=[[iif("wan"), dport("udp", {"range": [5000, 5009]}), {"dnat": {"addr": "10.0.0.2"}}]]),
        iptables(f"{IN} -p udp -m udp --dport 5000:5009 -j DNAT --to-destination 10.0.0.2"),
        (Static("", "10.0.0.2", "17", (5000, 5009)),),
        Hairpin.NONE,
    ),
    "for one remote network": (
        nft(pre=[[iif("wan"), saddr(net("198.51.100.0", 24)), dport("tcp", 22), {"dnat": {"addr": "10.0.0.2"}}]]),
        iptables(f"{IN} -s 198.51.100.0/24 -p tcp --dport 22 -j DNAT --to-destination 10.0.0.2"),
        (Static("", "10.0.0.2", "6", (22, 22), remote="198.51.100.0/24"),),
        Hairpin.NONE,
    ),
    "several ports": (
        nft(pre=[[iif("wan"), dport("tcp", {"set": [80, 443]}), {"dnat": {"addr": "10.0.0.2"}}]]),
        iptables(f"{IN} -p tcp -m multiport --dports 80,443 -j DNAT --to-destination 10.0.0.2"),
        (Static("", "10.0.0.2", "6", (80, 80)), Static("", "10.0.0.2", "6", (443, 443))),
        Hairpin.NONE,
    ),
    "a range to a range: its first port": (
        nft(pre=[[iif("wan"), dport("tcp", {"range": [7008, 7010]}), {"dnat": {"addr": "10.0.0.2", "port": {"range": [7010, 7012]}}}]]),
        iptables(f"{IN} -p tcp --dport 7008:7010 -j DNAT --to-destination 10.0.0.2:7010-7012"),
        tuple(Static("", "10.0.0.2", "6", (p, p), 7010) for p in (7008, 7009, 7010)),
        Hairpin.NONE,
    ),
    "in a called chain": (
        nft(pre=[[iif("wan"), {"jump": {"target": "web"}}]], web=[[dport("tcp", 8080), DNAT]]),
        iptables(f"{IN} -j web\n-A web -p tcp --dport 8080 -j DNAT --to-destination 10.0.0.2:80"),
        (Static("", "10.0.0.2", "6", (8080, 8080), 80),),
        Hairpin.NONE,
    ),
    "shared by a map": (
        nft(pre=[[iif("wan"), dport("tcp", 443), {"dnat": {"addr": {"map": {"key": {"numgen": {"mode": "inc", "mod": 2}}, "data": {"set": [
            [0, "10.0.0.2"], [1, "10.0.0.3"]]}}}}}]]),
        iptables(f"{IN} -p tcp --dport 443 -j DNAT --to-destination 10.0.0.2-10.0.0.3"),
        (Static("", "10.0.0.2", "6", (443, 443)), Static("", "10.0.0.3", "6", (443, 443))),
        Hairpin.NONE,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FORWARDS)
def test_destination_nat(name: str, tmp_path: Path) -> None:
    chain = ":web - [0:0]\n"
    for text in FORWARDS[name][:2]:
        found = read(tmp_path, text.replace(":POSTROUTING", chain + ":POSTROUTING") if "-j web" in text else text)
        assert found.static == FORWARDS[name][2]
        assert found.hairpin is FORWARDS[name][3]
        assert found.unmodelled == ()


def test_versions_of_ip(tmp_path: Path) -> None:
    """What only one version's table translates leaves the other alone; two tables that do the same are one NAT, others are not."""
    six = nft("ip6", post=[[oif("wan"), MASQUERADE]])
    assert read(tmp_path, six).inside == ("2000::/3", "fc00::/7")
    assert read(tmp_path, nft("inet", post=[[oif("wan"), MASQUERADE]])).inside == ()
    both = iptables(f"{OUT} MASQUERADE") + iptables(f"{OUT} MASQUERADE").replace("iptables-save", "ip6tables-save")
    assert read(tmp_path, both).inside == ()
    unlike = both.replace("MASQUERADE", "SNAT --to-source 203.0.113.9", 1)
    found = read(tmp_path, unlike)
    assert (found.inside, found.addresses) == (("0.0.0.0/0",), ("203.0.113.9",))
    assert "ip6 nat" in found.unmodelled[0]


def test_masquerading_what_turns_round(tmp_path: Path) -> None:
    text = nft(
        pre=[[daddr("203.0.113.1"), dport("tcp", 8080), DNAT]],
        post=[[oif("wan"), MASQUERADE], [iif("lan"), oif("lan"), match({"ct": {"key": "status"}}, "dnat", "in"), MASQUERADE]],
    )
    assert read(tmp_path, text).hairpin is Hairpin.ROUTER_SOURCE


def test_filters_of_both(tmp_path: Path) -> None:
    """Hooks, called chains, verdicts and policies; the rule's own text is kept."""
    one = nft(
        post=[[oif("wan"), MASQUERADE]],
        policy="drop",
        forw=[
            [m.state("established", "related"), m.ACCEPT],
            [iif("lan"), dport("tcp", 25), {"reject": {"type": "tcp reset"}}],
            [iif("lan"), {"jump": {"target": "more"}}],
        ],
        more=[[dport("tcp", 445), DROP], [dport("tcp", 80), {"return": None}], [m.ACCEPT]],
    )
    other = iptables(
        "-A POSTROUTING -o wan -j MASQUERADE",
        """-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
           -A FORWARD -i lan -p tcp --dport 25 -j REJECT --reject-with tcp-reset
           -A FORWARD -i lan -j more
           -A more -p tcp --dport 445 -j DROP
           -A more -p tcp --dport 80 -j RETURN
           -A more -j ACCEPT""",
        "DROP",
    ).replace(":OUTPUT", ":more - [0:0]\n:OUTPUT", 1)
    for text in (one, other):
        found = read(tmp_path, text)
        assert found.unmodelled == ()
        assert [f.action for f in found.filters[1:]] == [
            Action.ACCEPT, Action.RESET, Action.ENTER, Action.DROP, Action.SKIP, Action.ACCEPT, Action.DROP,
        ]  # fmt: skip
        assert [f.skip for f in found.filters[1:]] == [0, 0, 3, 0, 1, 0, 0]
        assert {f.hook for f in found.filters} == {Hook.FORWARD}
        assert "policy drop" in str(found.filters[-1])
        assert "445" in str(found.filters[4])


def test_tcp_flags(tmp_path: Path) -> None:
    """`tcp flags syn` is any of these set, with a mask these of those, with == nothing else."""
    flags = payload("tcp", "flags")
    rules = [[match(flags, "syn", "in"), DROP], [match({"&": [flags, ["syn", "ack"]]}, "syn"), DROP], [match(flags, "syn"), DROP]]
    found = read(tmp_path, nft(forw=rules))
    said = [c for f in found.filters[1:] for c in f.conditions if c.field == "flags"]
    assert [(c.ranges, c.negated) for c in said] == [(((2, 0),), True), (((18, 2),), False), (((255, 2),), False)]


def test_maps_of_verdicts_and_sets_by_name(tmp_path: Path) -> None:
    sets = [{"set": {"family": "ip", "name": "bad", "table": "t", "type": "ipv4_addr", "elem": [
        net("198.18.0.0", 15), {"elem": {"val": "192.0.2.1", "timeout": 60}}]}}]  # fmt: skip
    verdicts = {"vmap": {"key": {"ct": {"key": "state"}}, "data": {"set": [["invalid", DROP], ["established", m.ACCEPT]]}}}
    found = read(tmp_path, nft(beside=sets, post=[[oif("wan"), MASQUERADE]], forw=[[verdicts], [daddr("@bad"), DROP]]))
    assert [f.action for f in found.filters[1:]] == [Action.DROP, Action.ACCEPT, Action.DROP]
    assert len(next(c for c in found.filters[-1].conditions if c.field == "dst").ranges) == 2


UNMODELLED = {
    "a limit": (nft(forw=[[{"limit": {"rate": 5, "per": "second"}}, DROP]]), "limit"),
    "a mark": (nft(forw=[[match(meta("mark"), 7), DROP]]), "meta mark"),
    "ports of a redirect": (nft(pre=[[iif("wan"), dport("tcp", 2222), {"redirect": {"port": 22}}]]), "the box itself answers"),
    "a helper": (nft(forw=[[dport("tcp", 21), {"ct helper": "ftp"}]]), "ct helper ftp"),
    "policy NAT": (nft(post=[[oif("wan"), daddr("198.51.100.1"), MASQUERADE], [oif("wan"), MASQUERADE]]), "destinations"),
    "an exception": (nft(post=[[oif("wan"), daddr(net("10.9.0.0", 16)), m.ACCEPT], [oif("wan"), MASQUERADE]]), "exception"),
    "another pool": (
        nft(post=[[oif("wan"), saddr(net("10.0.0.0", 24)), snat(net("203.0.113.0", 30))], [oif("wan"), MASQUERADE]]),
        "another source NAT rule",
    ),
    "a set that is not there": (nft(forw=[[daddr("@gone"), DROP]]), "@gone"),
    "loss by chance": (iptables(filters="-A FORWARD -m statistic --mode random --probability 0.1 -j DROP"), "--probability 0.1"),
    "iptables' masquerade in nft": (nft(post=[[oif("wan"), {"xt": {"type": "target", "name": "MASQUERADE"}}]]), "any port is allowed"),
    "ipset": (iptables(filters="-A FORWARD -m set --match-set bad src -j DROP"), "--match-set bad src"),
    "TCPMSS": (iptables(others="*mangle\n:FORWARD ACCEPT [0:0]\n-A FORWARD -p tcp -j TCPMSS --clamp-mss-to-pmtu\nCOMMIT\n"), "TCPMSS"),
    "what the box sends": (iptables(filters="-A OUTPUT -p tcp -j DROP"), "the box itself sends"),
    "an interface on no side": (iptables(filters="-A FORWARD -i lan -j DROP"), "which side"),
    "flowtable": (nft(beside=[{"flowtable": {"family": "ip", "table": "t", "name": "f"}}]), "flowtable"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNMODELLED)
def test_what_is_not_modelled_is_listed(name: str, tmp_path: Path) -> None:
    text, words = UNMODELLED[name]
    found = read(tmp_path, text)
    assert any(words in said for said in found.unmodelled), found.unmodelled
    assert not [f for f in found.filters if f.action is Action.DROP]


def test_options_behind_a_file(tmp_path: Path) -> None:
    text = iptables("-A POSTROUTING -o ppp0 -j MASQUERADE", "-A FORWARD -i guest -p tcp --dport 25 -j DROP\n-A FORWARD -i lan -j ACCEPT")
    assert read(tmp_path, text, ":udp_idle=7,tcp_idle=99").udp_idle_s == 7
    assert any(c.ranges == ((0, 0),) for c in read(tmp_path, text, ":inside_interface=guest").filters[1].conditions)
    lan = read(tmp_path, text, ":inside_interface=lan,udp_idle=5")
    assert any(c.field == "entered" and c.ranges == () for c in lan.filters[1].conditions), "guests are not on this side"
    assert lan.udp_idle_s == 5
    assert "as given" in lan.notes[0]
    plain = read(tmp_path, text)
    assert "inside_interface=NAME" in plain.notes[0]
    model = tmp_path / "model.toml"
    model.write_text('base = "winnat"\nudp_idle_s = 9\n')
    assert (chosen(f"{model}:tcp_idle=3").tcp_idle_s, chosen(f"{model}:tcp_idle=3").udp_idle_s) == (3, 9)
    assert chosen("winnat:udp_idle=4").udp_idle_s == 4


def test_times_from_sysctl(tmp_path: Path) -> None:
    path = tmp_path / "sysctl.txt"
    path.write_text("net.ipv4.ip_forward = 1\nnet.netfilter.nf_conntrack_udp_timeout = 3\n"
                    "net.netfilter.nf_conntrack_udp_timeout_stream = 5\n"
                    "net.netfilter.nf_conntrack_tcp_timeout_established = 4\nnet.netfilter.nf_conntrack_tcp_loose = 0\n")  # fmt: skip
    found = read(tmp_path, iptables(f"{OUT} MASQUERADE"), f":sysctl={path},icmp_idle=2")
    assert (found.udp_idle_s, found.udp_reply_idle_s, found.tcp_idle_s, found.icmp_idle_s, found.tcp_pickup) == (3, 5, 4, 2, False)
    assert found.complete
    for text, words in (("kernel.x = 1\n", "no line such as"), ("net.netfilter.nf_conntrack_max = many\n", "line 1: 'many' is no number")):
        path.write_text(text)
        with pytest.raises(PcapnatError, match=words):
            read(tmp_path, iptables(f"{OUT} MASQUERADE"), f":sysctl={path}")
    with pytest.raises(PcapnatError, match="no such text file"):
        read(tmp_path, iptables(f"{OUT} MASQUERADE"), f":sysctl={path}2")


WRONG = {
    "no rule": ("*nat\nwhat is this\nCOMMIT\n", "line 2"),
    "outside of a table": (":FORWARD ACCEPT\n*nat\n", "line 1"),
    "address": ("*nat\n-A POSTROUTING -s 10.0.0.300/32 -j MASQUERADE\n", "line 2: 10.0.0.300/32 is no address"),
    "port": ("*nat\n-A PREROUTING -p tcp --dport 70000 -j DNAT --to-destination 10.0.0.1\n", "line 2: 70000"),
    "quote": ('*nat\n-A POSTROUTING -m comment --comment "open -j MASQUERADE\n', "line 2"),
    "target": ("*nat\n-A POSTROUTING -j SNAT\n", "line 2: SNAT to nowhere"),
    "value": ("*nat\n-A POSTROUTING -j\n", "line 2: -j without a value"),
    "cut JSON": ('{"nftables": [', "no JSON"),
    "other JSON": ('{"nftables": 7}', "not of `nft"),
    "rule without expr": (json.dumps({"nftables": [{"chain": {"family": "ip", "table": "t", "name": "c", "hook": "forward"}},
                                                   {"rule": {"family": "ip", "table": "t", "chain": "c"}}]}), "object 2, a rule: 'expr'"),
    "bad port": (nft(pre=[[dport("tcp", 99999), DNAT]]), "99999"),
    "backwards": (nft(pre=[[dport("tcp", {"range": [9, 3]}), DNAT]]), "goes backwards"),
    "made by iptables": (nft(post=[[oif("wan"), {"xt": {"type": "target", "name": "SNAT"}}]]), "iptables-save"),
    "a ring of chains": (nft(forw=[[{"jump": {"target": "a"}}]], a=[[{"jump": {"target": "a"}}]]), "more than 16"),
    "neither": ("{}", "neither of nft nor"),
    "an empty object": ("[{}]", "neither of nft nor"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_in_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(PcapnatError) as error:
        read(tmp_path, WRONG[name][0])
    assert WRONG[name][1] in str(error.value)
    assert "\n" not in str(error.value)


def test_chains_that_multiply_are_refused(tmp_path: Path) -> None:
    """Ten chains that each call the next eight times are 8^10 rules."""
    calls: dict[str, Any] = {f"c{k}": [[{"jump": {"target": f"c{k + 1}"}}]] * 8 for k in range(10)}
    with pytest.raises(PcapnatError, match="more than 65536 rules"):
        read(tmp_path, nft(forw=[[{"jump": {"target": "c0"}}], [DROP]], **calls, c10=[[DROP]]))


SEEDS = [text for row in (*SOURCES.values(), *FORWARDS.values()) for text in row[:2]] + [text for text, _ in UNMODELLED.values()]
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=8)
    | st.sampled_from(["@x", "tcp", "10.0.0.0/8", "wan", "drop"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["match", "op", "left", "right", "set", "range", "prefix", "addr", "len", "concat", "vmap", "map", "key", "data", "elem", "val",
         "payload", "meta", "ct", "dnat", "snat", "jump", "target", "port", "flags", "protocol", "field", "&", "fib"]), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(seed=st.sampled_from(SEEDS), at=st.floats(0, 1), gone=st.integers(0, 20), put=st.text(max_size=6) | st.sampled_from(
    [" -j RETURN", "! ", '"', "[", "{}", "-", "0/0", "\x00", "\n", "99999999999999999999"]))  # fmt: skip
def test_changed_text_gives_a_behavior_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, seed: str, at: float, gone: int, put: str
) -> None:
    k = int(at * len(seed))
    path = tmp_path_factory.getbasetemp() / "changed"
    path.write_text(seed[:k] + put + seed[k + gone :], encoding="utf-8")
    _quiet(path)


@settings(max_examples=150, deadline=None)
@given(expr=st.lists(JUNK, max_size=4), which=st.sampled_from(["pre", "post", "forw", "raw"]), elem=st.lists(JUNK, max_size=3))
def test_made_up_expressions_give_a_behavior_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, expr: list[Any], which: str, elem: list[Any]
) -> None:
    path = tmp_path_factory.getbasetemp() / "made-up"
    chains: dict[str, Any] = {which: [expr, [oif("wan"), MASQUERADE]]}
    path.write_text(nft(beside=[{"set": {"family": "ip", "table": "t", "name": "x", "elem": elem}}], **chains))
    _quiet(path)


def _quiet(path: Path) -> None:
    try:
        found: object = chosen(str(path))
    except PcapnatError as error:
        found = str(error)
    assert isinstance(found, NatBehavior) or "\n" not in str(found)


def test_a_rule_for_the_rest_translates_icmp_too(tmp_path: Path) -> None:
    """Even where its way with UDP's ports is not that of the rule before, and listed."""
    tcp = OUT.replace("-j", "-p tcp -j")
    found = read(tmp_path, iptables(f"{tcp} SNAT --to-source 203.0.113.9:10000-60000 --random\n{OUT} MASQUERADE"))
    assert found.icmp_queries
    assert [said for said in found.unmodelled if "MASQUERADE" in said]
