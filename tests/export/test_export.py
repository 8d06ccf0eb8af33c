"""A behavior written as a model file reads back equal; as rules, the programs that load them accept it, and nothing is left out."""

from __future__ import annotations

import ipaddress
import json
import re
import shutil
import subprocess
from dataclasses import fields, replace
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from pcapnat import Point, analyze
from pcapnat.cli import cli
from pcapnat.export import Site, captured, iptables, model_text, nft, powershell, unknown
from pcapnat.nat.behavior import Hairpin, Mapping, MssClamp, NatBehavior, Pooling, PortChoice, PortRange, Static
from pcapnat.nat.custom import FIELDS, behavior
from pcapnat.nat.presets import PRESETS
from pcapnat.terms import Finding, PcapnatError

CAPTURES = Path(__file__).parents[2] / "captures"
NATS = ("demo", "linux-masquerade", "linux-masquerade-ipv6", "linux-port-forward", "linux-hairpin", "linux-netmap", "linux-nat64")
LANGUAGES = (nft, iptables, powershell)


@cache
def usable(*command: str) -> bool:
    """Whether a program is there and may ask the kernel."""
    return bool(shutil.which(command[0])) and subprocess.run(command, input="", text=True, capture_output=True).returncode == 0


def says(command: tuple[str, ...], text: str) -> str:
    """What a program that loads rules has against them; nothing if it cannot be asked."""
    if not usable(*command):
        return ""
    ran = subprocess.run(command, input=text, text=True, capture_output=True)
    return ran.stderr if ran.returncode else ""


def refused(language: Any, text: str) -> str:
    """Complaints of the program that a text is for."""
    if language is nft:
        return says(("nft", "-c", "-f", "-"), text)
    if language is iptables:
        program = "ip6tables-restore" if "# for ip6tables-restore\n" in text else "iptables-restore"
        return says((program, "--test"), text)
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    known = r"(New-NetNat|Set-NetNat|Add-NetNatExternalAddress|Add-NetNatStaticMapping) (-[A-Za-z]+ [\w.$/:-]+ ?)+"
    return "\n".join(line for line in lines if not re.fullmatch(known, line))


def pair(folder: str) -> list[str]:
    return [str(CAPTURES / folder / f"{name}.pcap") for name in ("inside", "outside")]


def ran(*args: str) -> str:
    result = CliRunner().invoke(cli, list(args))
    if result.exception:
        raise result.exception
    return result.stdout


v4 = st.integers(0x01000000, 0xDFFFFFFF).map(lambda n: str(ipaddress.IPv4Address(n)))
v6 = st.integers(0x2 << 124, 0x3FFF << 112).map(lambda n: str(ipaddress.IPv6Address(n)))
spans = st.tuples(st.integers(1, 65535), st.integers(1, 65535)).map(lambda p: (min(p), max(p)))
port_ranges = st.builds(lambda a, b: PortRange(*a, *b), spans, st.sampled_from(((0, 65535), (0, 1023), (1024, 65535))))
clamps = st.builds(
    MssClamp, st.integers(0, 65535), st.sampled_from(("", "inside", "outside")), st.sampled_from((0, 4, 6)), st.integers(0, 99)
)


@st.composite
def statics(draw: st.DrawFn) -> Static:
    six = draw(st.booleans())
    outside, inside = draw(v6 if six else v4), draw(v6 if six else v4)
    if draw(st.booleans()):
        length = draw(st.integers(48, 64) if six else st.integers(20, 32))
        outside, inside = (str(ipaddress.ip_network((a, length), strict=False)) for a in (outside, inside))
    low, high = draw(st.one_of(st.just((0, 65535)), spans, spans.map(lambda p: (p[0], p[0])), st.just((8000, 8009))))
    to = draw(st.none() | st.integers(0, 65535 - (high - low)))
    neutral = six and "/" in inside and draw(st.booleans())
    remote = draw(st.just("") | (v6 if six else v4))
    return Static(
        outside, inside, draw(st.sampled_from(("", "tcp", "udp", "6", "47", "icmp"))), (low, high), to, remote, draw(st.booleans()), neutral
    )


def value(name: str, kind: Any) -> st.SearchStrategy[Any]:
    if name in ("name", "source"):
        return st.text(max_size=20).filter(lambda s: not re.search("[\ud800-\udfff]", s))
    by_name: dict[str, st.SearchStrategy[Any]] = {
        "port_ranges": st.lists(port_ranges, min_size=1, max_size=3).map(tuple),
        "icmp_range": spans,
        "addresses": st.lists(v4 | v6, max_size=4, unique=True).map(tuple),
        "inside": st.lists(v4 | v6, max_size=4, unique=True).map(tuple),
        "router": st.just("") | v4 | v6,
        "static": st.lists(statics(), max_size=4).map(tuple),
        "nat64": st.sampled_from(("", "64:ff9b::/96")),
        "port_attempts": st.integers(1, 65536),
        "block_size": st.integers(1, 65536),
        "blocks_per_host": st.integers(1, 65536),
        "ports_per_host": st.integers(0, 1 << 20),
        "ttl_step": st.integers(-1, 64),
        "ttl_step_inbound": st.none() | st.integers(-1, 64),
        "mss": st.lists(clamps, max_size=2).map(tuple),
        "ttl_new": st.integers(0, 255),
        "table_size": st.integers(0, 1 << 40),
    }
    if name in by_name:
        return by_name[name]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from(list(kind))
    if kind is bool:
        return st.booleans()
    times = st.integers(0, 10**8) | st.floats(0, 1e9)
    if name == "mapping_tcp":
        return st.none() | st.sampled_from(list(Mapping))
    if name == "filtering_tcp":
        return st.none()
    assert name.endswith("_s"), f"{name}: a new parameter needs a strategy"
    return times if kind is float else st.none() | times


behaviors = st.builds(NatBehavior, **{name: value(name, kind) for name, kind in FIELDS.items()})
small = behaviors.map(lambda b: replace(b, block_size=min(b.block_size, 100)))


@settings(max_examples=80, deadline=None)
@given(behaviors)
def test_a_model_file_reads_back_equal(b: NatBehavior) -> None:
    assert behavior(model_text(b, ["a line", "another"])) == b


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_reads_back_equal(name: str) -> None:
    assert behavior(model_text(PRESETS[name].behavior)) == PRESETS[name].behavior


@settings(max_examples=40, deadline=None)
@given(small)
def test_rules_are_accepted_and_say_all(b: NatBehavior) -> None:
    """Whatever the behavior: the text loads, and each parameter unlike the system's own is in it by a rule or by name."""
    for language in LANGUAGES:
        text = language(b)
        assert refused(language, text) == ""
        assert ("filtering = endpoint-independent" in text or language is powershell) or b.filtering.depth != 0
        assert ("refresh_outbound" in text) == (not b.refresh_outbound)
        assert ("ports_per_host" in text) == bool(b.ports_per_host)
        assert ("ttl_new" in text) == bool(b.ttl_new)
        for rule in b.static:
            assert rule.inside.removesuffix("/32") in text


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_presets_as_rules(name: str, language: Any) -> None:
    b = replace(PRESETS[name].behavior, addresses=("203.0.113.64/30", "203.0.113.99"), inside=("192.168.1.0/24",))
    text = language(b, Site(("192.168.1.11",)))
    assert refused(language, text) == ""
    assert "192.168.1.0/24" in text or b.nat64


def test_what_no_language_says_is_named() -> None:
    """Every parameter that no rule is made for."""
    other: dict[str, Any] = {
        "port_attempts": 7, "icmp_range": (1, 9), "parity": True, "blocks_per_host": 3, "ports_per_host": 5, "ttl_step": 2, "ttl_new": 64,
        "refresh_outbound": False, "tcp_machine": None, "portless": None, "icmp_queries": False, "icmp_errors": False, "fragments": None,
        "ttl_step_inbound": 0, "mss": (MssClamp(1400),),
    }  # fmt: skip
    for language, base in ((nft, "linux-masquerade"), (iptables, "linux-masquerade"), (powershell, "winnat")):
        own = PRESETS[base].behavior
        assert all(f" {f.name} = " not in language(own) for f in fields(own) if f.name in other)
        for name, changed in other.items():
            kind = type(getattr(own, name))
            changed = next(m for m in kind if m is not getattr(own, name)) if changed is None else changed
            assert f"not said here: {name} = " in language(replace(own, **{name: changed})), (language, name)


def test_netfilter_in_its_words() -> None:
    own = replace(PRESETS["linux-masquerade"].behavior, addresses=("203.0.113.1",))
    assert "oifname $wan snat to 203.0.113.1\n" in nft(own)
    assert "not said" not in re.sub(".*(icmp|pooling|tcp_unanswered|other_idle|table_size|assured|hairpin).*", "", nft(own))
    ranged = replace(own, keeps_any_port=False, port_ranges=(PortRange(1024, 2047),), addresses=("203.0.113.0/30",), pooling=Pooling.PAIRED)
    assert "{ tcp, udp } snat to 203.0.113.0-203.0.113.3:1024-2047 persistent" in nft(ranged)
    assert "-p udp -j SNAT --to-source 203.0.113.0-203.0.113.3:1024-2047 --persistent" in iptables(ranged)
    free = replace(ranged, port_choice=PortChoice.RANDOM, mapping=Mapping.ADDRESS_AND_PORT_DEPENDENT, udp_idle_s=33.4)
    assert "fully-random" in nft(free)
    assert "unreplied : 33" in nft(free)
    assert "nf_conntrack_udp_timeout=33" in iptables(free)
    assert "fully-random" not in nft(replace(free, mapping=Mapping.BEST_EFFORT))
    assert "unreplied" not in nft(free, Site(None, unknown(["udp_idle_s"]), ("udp_idle_s",)))
    door = replace(own, hairpin=Hairpin.ROUTER_SOURCE, router="192.168.1.1",
                   static=(Static("203.0.113.1", "192.168.1.9", "tcp", (8000, 8003), 9000),))  # fmt: skip
    assert "tcp dport map { 8000 : 9000, 8001 : 9001, 8002 : 9002, 8003 : 9003 }" in nft(door)
    assert "ct status dnat snat to 192.168.1.1" in nft(door)
    assert "--dport 8000:8003 -j DNAT --to-destination 192.168.1.9:9000-9003/8000" in iptables(door)


@pytest.mark.parametrize("folder", NATS)
def test_the_written_model_explains_as_much(folder: str, tmp_path: Path) -> None:
    """analyze --write-model, and diff with that model, over the same pair."""
    file = tmp_path / "nat.toml"
    replay = json.loads(ran("analyze", *pair(folder), "--format", "json", "--write-model", str(file)))["boxes"][0]["replay"]
    again = json.loads(ran("diff", *pair(folder), "--through", str(file), "--format", "json"))
    assert (again["frames"], again["explained"]) == (replay["frames"], replay["explained"])
    assert replay["explained"] > 30
    forecast = json.loads(ran("replay", pair(folder)[0], "--through", str(file), "--format", "json"))
    assert forecast
    assert ran("export", *pair(folder), "--as", "model") == file.read_text()


@pytest.mark.parametrize("folder", NATS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_captures_as_rules(folder: str, language: Any) -> None:
    text = ran("export", *pair(folder), "--as", language.__name__)
    assert refused(language, text) == ""
    assert text.isascii()


def test_nothing_to_write(tmp_path: Path) -> None:
    one = pair("demo")[0]
    with pytest.raises(PcapnatError, match="no NAT was found"):
        ran("export", one, one, "--as", "nft")
    with pytest.raises(PcapnatError, match="no NAT was found"):
        ran("analyze", one, one, "--write-model", str(tmp_path / "x.toml"))
    with pytest.raises(PcapnatError, match="there is one NAT"):
        ran("export", *pair("demo"), "--as", "nft", "--box", "2")
    with pytest.raises(PcapnatError, match=r"nat\.toml: "):
        ran("analyze", *pair("demo"), "--write-model", str(tmp_path / "none" / "nat.toml"))


def test_what_no_parameter_stands_for_is_told() -> None:
    """A finding that the model does not hold is a line of every language."""
    box = analyze([Point(name, (file,)) for name, file in zip(("inside", "outside"), pair("demo"), strict=True)]).boxes[0]
    assert box.replay is not None
    found = replace(box.behavior, contiguity=Finding(True, 3), fields_changed=Finding({"ip.ttl": -1, "tcp.options.mss": True}, 9))
    for language in LANGUAGES:
        text = captured(language.__name__, box.replay.behavior, found, box.translations, box.assumed)
        assert "contiguity = true" in text
        assert "fields changed: tcp.options.mss" in text
    assert behavior(captured("model", box.replay.behavior, found, box.translations, box.assumed)) == box.replay.behavior
