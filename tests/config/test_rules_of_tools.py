"""Rules as ufw, firewalld, docker, fw4, kube-proxy and libvirt write them: what matters is modelled, the rest is listed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import made_rules as m
import pytest
from made_rules import daddr, dport, iif, iptables, match, meta, net, nft, oif, saddr

from pcapnat.config import chosen
from pcapnat.nat.behavior import Hairpin, NatBehavior, PortChoice, PortRange, Static
from pcapnat.nat.filters import Action

MASQUERADE: dict[str, Any] = {"masquerade": None}


def go(kind: str, target: str) -> dict[str, Any]:
    return {kind: {"target": target}}


def chains(*names: str, table: str = "nat") -> str:
    """A second part of a table with these chains, before rules that name them."""
    return f"*{table}\n" + "".join(f":{name} - [0:0]\n" for name in names) + "COMMIT\n"


GUESTS = "192.168.122.0/24"
LIBVIRT = iptables(
    f"""-A POSTROUTING -j LIBVIRT_PRT
        -A LIBVIRT_PRT -s {GUESTS} -d 224.0.0.0/24 -j RETURN
        -A LIBVIRT_PRT -s {GUESTS} -d 255.255.255.255/32 -j RETURN
        -A LIBVIRT_PRT -s {GUESTS} ! -d {GUESTS} -p tcp -j MASQUERADE --to-ports 1024-65535
        -A LIBVIRT_PRT -s {GUESTS} ! -d {GUESTS} -p udp -j MASQUERADE --to-ports 1024-65535
        -A LIBVIRT_PRT -s {GUESTS} ! -d {GUESTS} -j MASQUERADE""",
    f"""-A FORWARD -j LIBVIRT_FWX
        -A LIBVIRT_FWX -d {GUESTS} -o virbr0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
        -A LIBVIRT_FWX -o virbr0 -j REJECT --reject-with icmp-port-unreachable
        -A LIBVIRT_FWX -s {GUESTS} -i virbr0 -j ACCEPT
        -A LIBVIRT_FWX -i virbr0 -j REJECT --reject-with icmp-port-unreachable""",
)
LIBVIRT = chains("LIBVIRT_PRT") + chains("LIBVIRT_FWX", table="filter") + LIBVIRT
GUEST = [saddr(net("192.168.122.0", 24)), match(m.payload("ip", "daddr"), net("192.168.122.0", 24), "!=")]
PORTS: dict[str, Any] = {"masquerade": {"port": {"range": [1024, 65535]}}}
LIBVIRT_NFT = nft(
    post=[
        [GUEST[0], daddr(net("224.0.0.0", 24)), {"return": None}],
        [match(meta("l4proto"), "tcp"), *GUEST, PORTS],
        [match(meta("l4proto"), "udp"), *GUEST, PORTS],
        [*GUEST, MASQUERADE],
    ],
    forw=[[oif("virbr0"), daddr(net("192.168.122.0", 24)), m.state("established"), m.ACCEPT],
          [oif("virbr0"), {"reject": {"type": "icmp", "expr": "port-unreachable"}}]],
)  # fmt: skip
DOCKER = chains("DOCKER") + iptables(
    """-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
       -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
       -A POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE
       -A DOCKER -i docker0 -j RETURN
       -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80""",
    """-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
       -A FORWARD -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
       -A FORWARD -i docker0 ! -o docker0 -j ACCEPT""",
    "DROP",
)
UFW = chains("ufw-not-local", "ufw-user-input", table="filter") + iptables(
    """-A PREROUTING -i eth0 -p tcp -m tcp --dport 8443 -j DNAT --to-destination 10.8.0.5:443
       -A POSTROUTING -s 10.8.0.0/24 -o eth0 -j MASQUERADE""",
    """-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
       -A FORWARD -p icmp -m icmp --icmp-type 8 -j ACCEPT
       -A FORWARD -i eth1 -o eth0 -j ACCEPT
       -A FORWARD -m limit --limit 3/min --limit-burst 10 -j LOG --log-prefix "[UFW BLOCK] "
       -A INPUT -j ufw-not-local
       -A INPUT -j ufw-user-input
       -A ufw-not-local -m addrtype --dst-type LOCAL -j RETURN
       -A ufw-not-local -m addrtype --dst-type MULTICAST -j RETURN
       -A ufw-not-local -j DROP
       -A ufw-user-input -p tcp -m tcp --dport 22 -m recent --set --name DEFAULT --rsource
       -A ufw-user-input -p tcp -m tcp --dport 22 -m limit --limit 6/min -j ACCEPT""",
    "DROP",
)
KUBE = chains("SERVICES", "MARK-MASQ", "POST", "WEB", "A", "B", "EXT") + iptables(
    """-A PREROUTING -m comment --comment "kubernetes service portals" -j SERVICES
       -A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j POST
       -A MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
       -A POST -m mark ! --mark 0x4000/0x4000 -j RETURN
       -A POST -j MARK --set-xmark 0x4000/0x0
       -A POST -m comment --comment "service traffic requiring SNAT" -j MASQUERADE --random-fully
       -A A -s 10.244.1.5/32 -j MARK-MASQ
       -A A -p tcp -m tcp -j DNAT --to-destination 10.244.1.5:8080
       -A B -s 10.244.2.6/32 -j MARK-MASQ
       -A B -p tcp -m tcp -j DNAT --to-destination 10.244.2.6:8080
       -A SERVICES -d 10.96.5.5/32 -p tcp -m tcp --dport 80 -j WEB
       -A SERVICES -m addrtype --dst-type LOCAL -p tcp -m tcp --dport 30080 -j EXT
       -A EXT -j MARK-MASQ
       -A EXT -j WEB
       -A WEB ! -s 10.244.0.0/16 -d 10.96.5.5/32 -p tcp -m tcp --dport 80 -j MARK-MASQ
       -A WEB -m statistic --mode random --probability 0.50000000000 -j A
       -A WEB -j B"""
)
MARKED = {"&": [meta("mark"), 0x4000]}
BOTH = {"set": [[0, go("goto", "a")], [1, go("goto", "b")]]}
TURNS = {"vmap": {"key": {"numgen": {"mode": "random", "mod": 2, "offset": 0}}, "data": BOTH}}
KUBE_NFT = nft(
    pre=[[daddr("10.96.5.5"), dport("tcp", 80), go("goto", "web")],
         [match({"fib": {"result": "type", "flags": "daddr"}}, "local"), dport("tcp", 30080), go("goto", "web")]],
    web=[[TURNS]],
    a=[[match(meta("l4proto"), "tcp"), {"dnat": {"addr": "10.244.1.5", "port": 8080}}]],
    b=[[match(meta("l4proto"), "tcp"), {"dnat": {"addr": "10.244.2.6", "port": 8080}}]],
    post=[[match(MARKED, 0), {"return": None}], [{"masquerade": {"flags": "fully-random"}}]],
)  # fmt: skip
FW4 = nft(
    "inet",
    policy="drop",
    pre=[[iif("br-lan"), go("jump", "dst_lan")], [iif("wan"), go("jump", "dst_wan")]],
    post=[[oif("br-lan"), go("jump", "src_lan")], [oif("wan"), go("jump", "src_wan")]],
    dst_lan=[[saddr(net("192.168.1.0", 24)), daddr("203.0.113.5"), dport("tcp", 8443), {"dnat": {"addr": "192.168.1.20", "port": 443}}]],
    src_lan=[[saddr(net("192.168.1.0", 24)), daddr("192.168.1.20"), dport("tcp", 443), {"snat": {"addr": "192.168.1.1"}}]],
    dst_wan=[[match(meta("nfproto"), "ipv4"), dport("tcp", 8443), {"dnat": {"addr": "192.168.1.20", "port": 443}}]],
    src_wan=[[match(meta("nfproto"), "ipv4"), MASQUERADE]],
    forw=[
        [m.state("established", "related"), m.ACCEPT],
        [iif("wan"), match({"payload": {"protocol": "icmpv6", "field": "type"}}, "echo-request"),
         {"limit": {"rate": 1000, "burst": 5, "per": "second"}}, m.ACCEPT],
        [iif("wan"), match({"ct": {"key": "status"}}, "dnat", "in"), m.ACCEPT],
        [iif("br-lan"), oif("wan"), m.ACCEPT],
    ],
)  # fmt: skip
FIREWALLD = nft(
    "inet",
    pre=[[iif("eth0"), go("goto", "pre_out")], [iif("eth1"), go("goto", "pre_home")], [go("goto", "pre_rest")]],
    post=[[oif("eth0"), go("goto", "post_out")], [oif("eth1"), go("goto", "post_home")], [go("goto", "post_rest")]],
    pre_out=[[match(meta("nfproto"), "ipv4"), dport("tcp", 8443), {"dnat": {"addr": "192.168.50.4", "port": 443}}],
             [dport("tcp", 2222), {"redirect": {"port": 22}}]],
    pre_home=[], pre_rest=[], post_home=[], post_rest=[],
    post_out=[[match(meta("nfproto"), "ipv4"), oif("lo", "!="), MASQUERADE]],
    forw=[[m.state("established", "related"), m.ACCEPT], [m.state("invalid"), m.DROP], [iif("eth1"), oif("eth0"), m.ACCEPT],
          [{"reject": {"type": "icmpx", "expr": "admin-prohibited"}}]],
)  # fmt: skip
WEB = tuple(Static(o, i, "6", (p, p), 8080) for o, p in (("10.96.5.5", 80), ("", 30080)) for i in ("10.244.1.5", "10.244.2.6"))
HTTPS = (8443, 8443)
FOUND: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "libvirt, iptables": (LIBVIRT, {"inside": (GUESTS,), "port_ranges": (PortRange(1024, 65535),), "keeps_any_port": False}, ()),
    "libvirt, nft": (LIBVIRT_NFT, {"inside": (GUESTS,), "port_ranges": (PortRange(1024, 65535),), "keeps_any_port": False}, ()),
    "docker": (
        DOCKER,
        {"inside": ("172.17.0.0/16",), "static": (Static("", "172.17.0.2", "6", (8080, 8080), 80),), "hairpin": Hairpin.NONE},
        ("-s 172.17.0.2/32 -d 172.17.0.2/32",),
    ),
    "ufw": (UFW, {"inside": ("10.8.0.0/24",), "static": (Static("", "10.8.0.5", "6", HTTPS, 443),)}, ("--limit 6/min",)),
    "kube-proxy, iptables": (
        KUBE,
        {"port_choice": PortChoice.STATIC, "static": WEB},
        ("-A POST -m mark ! --mark 0x4000/0x4000 -j RETURN", "-A MARK-MASQ", "-A POST -j MARK"),
    ),
    "kube-proxy, nft": (
        KUBE_NFT,
        {"port_choice": PortChoice.STATIC, "static": WEB},
        ("t pre: ip daddr 10.96.5.5", "t post: meta mark & 16384"),
    ),
    "fw4": (
        FW4,
        {"static": (Static("", "192.168.1.20", "6", HTTPS, 443),), "hairpin": Hairpin.ROUTER_SOURCE, "router": "192.168.1.1"},
        ("limit rate 1000",),
    ),
    "firewalld": (FIREWALLD, {"static": (Static("", "192.168.50.4", "6", HTTPS, 443),), "inside": ("0.0.0.0/0",)}, ("redirect to :22",)),
}
SIDES = {"libvirt, iptables": "any other interface, inside is virbr0", "ufw": "eth0, inside is eth1", "docker": "inside is docker0",
         "fw4": "wan, inside is br-lan", "firewalld": "eth0, inside is eth1"}  # fmt: skip


def read(tmp_path: Path, text: str) -> NatBehavior:
    """The behavior of a file with this text."""
    path = tmp_path / "rules"
    path.write_text(text)
    return chosen(str(path))


@pytest.mark.parametrize("name", FOUND)
def test_what_tools_write(name: str, tmp_path: Path) -> None:
    """Each listed rule is one that the words name, and no other is listed."""
    text, wanted, listed = FOUND[name]
    found = read(tmp_path, text)
    assert {field: getattr(found, field) for field in wanted} == wanted
    assert [said for said in found.unmodelled if not any(words in said for words in listed)] == []
    assert [words for words in listed if not any(words in said for said in found.unmodelled)] == []
    if name in SIDES:
        assert SIDES[name] in found.notes[0]


def test_a_limit_lets_its_packets_through_and_drops_nobody(tmp_path: Path) -> None:
    """Packets are taken to be within a rate: what accepts them does, what drops beyond it does not."""
    accepts = [f for f in read(tmp_path, UFW).filters if f.action is Action.ACCEPT and any(c.ranges == ((22, 22),) for c in f.conditions)]
    assert len(accepts) == 1
    over = UFW.replace("--limit 6/min -j ACCEPT", "--limit 6/min -j REJECT --reject-with tcp-reset")
    assert not [f for f in read(tmp_path, over).filters if f.action is Action.RESET]


def test_marks(tmp_path: Path) -> None:
    """Packets have no marks: what is for marked ones is left out, and listed."""
    for condition, applies in (("! --mark 0x1/0x1", True), ("--mark 0x0/0xff", True), ("--mark 0x1", False), ("! --mark 0x0", False)):
        found = read(tmp_path, iptables(f"-A POSTROUTING -o wan -m mark {condition} -j MASQUERADE"))
        assert (found.port_choice is not PortChoice.STATIC) is applies, condition
        assert bool(found.unmodelled) is not applies, condition
