"""The rules that the bundled captures were made with explain every frame of them, written as nft and as iptables write them."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_rules import PORTED, daddr, dport, iif, iptables, match, net, nft, oif, payload
from packet_script import script, write

from pcapnat import analyze
from pcapnat.config import chosen
from pcapnat.flow import Crossing
from pcapnat.replay import replay
from pcapnat.terms import Point

CAPTURES = Path(__file__).parents[2] / "captures"
OUT = "-A POSTROUTING -o wan -j"
MASQUERADE = [[oif("wan"), {"masquerade": None}]]
PLAIN = nft(post=MASQUERADE), iptables(f"{OUT} MASQUERADE")


def forward(to: str, port: int) -> dict[str, object]:
    return {"dnat": {"addr": to, "port": port}}


def moved(field: str, of: str, to: str) -> dict[str, object]:
    return {"addr": {"map": {"key": payload("ip", field), "data": {"set": [[net(of, 24), net(to, 24)]]}}}, "flags": "netmap"}


RULES = {
    "linux-masquerade": PLAIN,
    "linux-masquerade-ipv6": (nft("ip6", post=MASQUERADE), iptables(f"{OUT} MASQUERADE").replace("iptables-save", "ip6tables-save")),
    "linux-icmp-errors": PLAIN,
    "linux-port-collisions": PLAIN,
    "linux-tuple-reuse": PLAIN,
    "linux-dns-failure": PLAIN,
    "linux-port-forward": (
        nft(
            pre=[[iif("wan"), daddr("203.0.113.10"), dport("tcp", 8080), forward("192.168.1.11", 80)],
                 [iif("wan"), daddr("203.0.113.10"), dport("udp", 5353), forward("192.168.1.12", 53)]],
            post=MASQUERADE,
        ),
        iptables(f"""-A PREROUTING -d 203.0.113.10/32 -i wan -p tcp -m tcp --dport 8080 -j DNAT --to-destination 192.168.1.11:80
                     -A PREROUTING -d 203.0.113.10/32 -i wan -p udp -m udp --dport 5353 -j DNAT --to-destination 192.168.1.12:53
                     {OUT} MASQUERADE"""),
    ),
    "linux-netmap": (
        nft(pre=[[iif("wan"), {"dnat": moved("daddr", "198.51.101.0", "192.168.1.0")}]],
            post=[[oif("wan"), {"snat": moved("saddr", "192.168.1.0", "198.51.101.0")}]]),
        iptables("""-A PREROUTING -d 198.51.101.0/24 -i wan -j NETMAP --to 192.168.1.0/24
                    -A POSTROUTING -s 192.168.1.0/24 -o wan -j NETMAP --to 198.51.101.0/24"""),
    ),
    "linux-hairpin": (
        nft(
            pre=[[daddr("203.0.113.10"), dport(proto, 8080), forward("192.168.1.12", 80)] for proto in ("tcp", "udp")],
            post=[*MASQUERADE, [iif("lan"), oif("lan"), match({"ct": {"key": "status"}}, "dnat", "in"), {"masquerade": None}]],
        ),
        iptables(f"""-A PREROUTING -d 203.0.113.10/32 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 192.168.1.12:80
                     -A PREROUTING -d 203.0.113.10/32 -p udp -m udp --dport 8080 -j DNAT --to-destination 192.168.1.12:80
                     {OUT} MASQUERADE
                     -A POSTROUTING -s 192.168.1.0/24 -o lan -m conntrack --ctstatus DNAT -j MASQUERADE"""),
    ),
    "demo": (
        nft(post=[[oif("wan"), PORTED, {"snat": {"addr": "203.0.113.10", "port": {"range": [40000, 40009]}}}], *MASQUERADE]),
        iptables(f"""-A POSTROUTING -o wan -p tcp -j SNAT --to-source 203.0.113.10:40000-40009
                     -A POSTROUTING -o wan -p udp -j SNAT --to-source 203.0.113.10:40000-40009
                     {OUT} MASQUERADE"""),
    ),
    "linux-nat64": PLAIN,
    "linux-ftp-alg": (
        nft(beside=[{"ct helper": {"family": "ip", "name": "ftp", "table": "t", "type": "ftp", "protocol": "tcp"}}], post=MASQUERADE),
        iptables(f"{OUT} MASQUERADE", others="*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp --dport 21 -j CT --helper ftp\n"
                 "COMMIT\n"),
    ),
}  # fmt: skip
WORDS = {"linux-nat64": ":ttl_step=3"}
"""What is said beside the rules: TAYGA is two more hops."""


def crossing(folder: str) -> Crossing:
    """A bundled pair, matched."""
    here = CAPTURES / folder
    return analyze([Point("inside", (str(here / "inside.pcap"),)), Point("outside", (str(here / "outside.pcap"),))]).boxes[0].crossing


@pytest.mark.parametrize("folder", RULES)
def test_the_rules_explain_every_frame(folder: str, tmp_path: Path) -> None:
    seen = crossing(folder)
    for k, text in enumerate(RULES[folder]):
        path = tmp_path / f"rules{k}"
        path.write_text(text)
        r = replay(seen, chosen(f"{path}{WORDS.get(folder, '')}"))
        assert [(c.kind, c.field, c.reason, c.count) for c in r.causes] == []
        assert r.explained == r.frames > 30
        assert r.behavior.complete is (folder != "linux-ftp-alg")


def test_a_port_that_no_rule_forwards_differs(tmp_path: Path) -> None:
    """Rules say which ports are forwarded: one that was seen and is not among them is not added to the model."""
    path = tmp_path / "rules"
    path.write_text(PLAIN[0])
    r = replay(crossing("linux-port-forward"), chosen(str(path)))
    assert r.explained < r.frames
    assert r.behavior.static == ()


def test_a_rule_that_would_have_dropped_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rules"
    path.write_text(iptables(f"{OUT} MASQUERADE", "-A FORWARD -i lan -p udp -j DROP"))
    r = replay(crossing("linux-masquerade"), chosen(str(path)))
    extra = next(d for d in r.differences if d.kind.value == "extra" and d.reason.name == "BARRED")
    assert "-A FORWARD -i lan -p udp -j DROP" in extra.expected


HERE = "A udp one x20 | D>A:40000 udp two x20 t63 | +5 A:41000>D S 900{} | +5 A:41001>D S 950{} | +50 A udp three x20"
THERE = "N:40000>D udp one x20 t63 | D>N:40000 udp two x20 | +60 N:40000>D udp three x20 t63"


def test_what_a_reject_answers(tmp_path: Path) -> None:
    """A reset that a rule asks for and that did not come is a difference, and so is one that no rule asks for."""
    here = HERE.replace("A udp", "A>D udp")
    resets = " | D:443>A:41000 RA 0 901 t64", " | D:443>A:41001 RA 0 951 t64"
    for name, answers in {"both": resets, "one": (resets[0], ""), "none": ("", "")}.items():
        for rule in ("REJECT --reject-with tcp-reset", "DROP"):
            paths = [write(tmp_path / side, script(text)) for side, text in (("in.pcap", here.format(*answers)), ("out.pcap", THERE))]
            c = analyze([Point("inside", (paths[0],)), Point("outside", (paths[1],))]).boxes[0].crossing
            rules = tmp_path / "rules"
            rules.write_text(iptables(f"{OUT} MASQUERADE", f"-A FORWARD -i lan -p tcp --dport 443 -j {rule}"))
            r = replay(c, chosen(f"{rules}:inside_interface=lan"))
            found = {(cause.kind.value, cause.field): cause.count for cause in r.causes}
            missing = {"both": 0, "one": 1, "none": 2}[name] if rule != "DROP" else 0
            assert found.get(("missing", "answer"), 0) == missing
            if rule != "DROP":
                assert r.explained == r.frames - missing
            else:
                assert found.get(("extra", "origin"), 0) == 2 - ("both", "one", "none").index(name)
