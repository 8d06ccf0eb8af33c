"""Presets and model files: every row has a source and runs, a wrong line is named."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st

from pcapnat.cli import cli
from pcapnat.nat.behavior import Filtering, Mapping, NatBehavior, PortChoice, PortRange, Static
from pcapnat.nat.custom import behavior
from pcapnat.nat.presets import PRESETS, preset
from pcapnat.report.models import _toml, behavior_values
from pcapnat.terms import PcapnatError

ASKED = {
    "linux-masquerade", "linux-random", "linux-fully-random", "linux-persistent", "winnat", "windows-ics",
    "hns", "docker", "wsl2", "azure", "aws-nat-gateway", "gcp-cloud-nat",
    "pf", "cisco-ios", "cisco-asa", "juniper", "mikrotik", "vpp",
    "slirp", "passt", "cgn-pba", "cgn-deterministic", "rfc4787", "rfc-strict",
}  # fmt: skip


def test_all_are_there_with_their_sources() -> None:
    """The names people ask for; where each row is from."""
    assert set(PRESETS) >= ASKED
    for p in PRESETS.values():
        assert p.behavior.source
        assert p.says
        assert set(p.believed) <= {f.name for f in fields(NatBehavior)}
    with pytest.raises(PcapnatError, match="winnat"):
        preset("winnta")


@pytest.mark.parametrize("name", PRESETS)
def test_what_models_prints_is_a_model_file(name: str) -> None:
    """Each parameter as shown, read back on top of it, is the preset; so is the base alone."""
    b = PRESETS[name].behavior
    lines = [f'base = "{name}"'] + [f"{key} = {_toml(value)}" for key, value in behavior_values(b).items() if key != "static"]
    assert behavior("\n".join(lines)) == b
    assert replace(behavior(f'base = "{name}"'), name=name, source=b.source) == b


def test_the_command() -> None:
    """A table of all, a page on one, JSON of both, one line for a name that is none."""
    run = CliRunner().invoke
    assert all(name in run(cli, ["models"]).output for name in PRESETS)
    assert "udp_idle_s" in run(cli, ["models", "winnat"]).output
    assert '"pcapnat.models/1"' in run(cli, ["models", "winnat", "--format", "json"]).output
    failed = run(cli, ["models", "nat"])
    assert isinstance(failed.exception, PcapnatError)


def test_words_are_those_of_the_contract() -> None:
    """The values that reports and model files share."""
    assert [m.value for m in Mapping][:3] == [f.value for f in Filtering]
    assert {p.value for p in PortChoice} == {
        "preserve", "preserve-else-random", "preserve-else-sequential", "random", "sequential", "block", "static", "host-ephemeral"
    }  # fmt: skip


def test_a_model_file() -> None:
    """On top of a base; a range binds kept ports; ports behind addresses; IPv6 in brackets."""
    b = behavior("""
        base = "linux-masquerade"
        addresses = ["203.0.113.1"]
        port_range = [1024, 2047]
        udp_idle_s = 10
        [[static]]
        proto = "tcp"
        outside = "203.0.113.1:8080"
        inside = "192.168.1.11:80"
        [[static]]
        outside = "[2001:db8::1]"
        inside = "[fd00::1]"
    """)
    assert (b.port_ranges, b.keeps_any_port, b.udp_idle_s, b.icmp_idle_s) == ((PortRange(1024, 2047),), False, 10, 30)
    assert b.static == (Static("203.0.113.1", "192.168.1.11", "tcp", (8080, 8080), 80), Static("2001:db8::1", "fd00::1"))


@pytest.mark.parametrize(("text", "says"), [
    ("x = ", "line 1: Invalid value"),
    ("\n\nmapping = 3", "line 3: mapping: 3 is none of endpoint-independent"),
    ("mappings = 3", "line 1: mappings is no parameter of a NAT, mapping is"),
    ("\nudp_idle_s = -1", "line 2: udp_idle_s: -1 is no time"),
    ("udp_idle_s = nan", "line 1: udp_idle_s: nan is no time"),
    ("udp_idle_s = true", "line 1: udp_idle_s: True is no number"),
    ("port_range = [3, 1]", "line 1: port_ranges: 3-1 is no range of ports"),
    ("port_range = 7", "line 1: port_range: 7 is no range such as"),
    ("port_ranges = [{low = 1}]", "line 1: port_ranges: a range has low and high"),
    ("addresses = ['nowhere']", "line 1: addresses: nowhere is no address"),
    ("addresses = ['10.0.0.0/8']", "line 1: addresses: more than 65536"),
    ("ttl_step = 99", "line 1: ttl_step: 99 is not between"),
    ("\nport_choice = 'block'", "line 2: block_size: blocks of how many ports"),
    ("base = 'linux'", "line 1: linux: no such model"),
    ("base = 'pf'\n[[static]]\noutside = '1.2.3.4'\ninside = '10.0.0.1'\n[[static]]\nproto = ''", "line 5: static: outside and inside"),
    ("[[static]]\noutside = '1.2.3.0/24'\ninside = '10.0.0.1'", "line 1: static: 1.2.3.0/24 and 10.0.0.1 are not of one size"),
    ("[[static]]\noutside = '1.2.3.4:1'\ninside = '10.0.0.1'\nproto = 'nonsense'", "line 1: proto: nonsense is no protocol"),
    ("nat64 = '10.0.0.0/8'", "line 1: nat64: 10.0.0.0/8 is no IPv6 prefix"),
])  # fmt: skip
def test_a_wrong_line_is_named(text: str, says: str) -> None:
    """With its number."""
    with pytest.raises(PcapnatError) as error:
        behavior(text, "nat.toml")
    assert str(error.value).startswith(f"nat.toml: {says}")


@given(st.text(max_size=200))
@example("static = 1\n[mapping]")
@example("static = [[]]")
@example("a = " + "[" * 1000)
def test_any_text_is_a_model_or_one_line(text: str) -> None:
    """No other error than ours."""
    said = ""
    try:
        behavior(text)
    except PcapnatError as error:
        said = str(error)
    assert "\n" not in said
