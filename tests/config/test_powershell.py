"""Get-NetNat and its like as JSON, in all the shapes that PowerShell gives it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcapnat.config import chosen
from pcapnat.nat.behavior import Filtering, NatBehavior, PortRange, Static
from pcapnat.nat.presets import PRESETS
from pcapnat.terms import PcapnatError

NAT: dict[str, Any] = {
    "Name": "guests", "ExternalIPInterfaceAddressPrefix": None, "InternalIPInterfaceAddressPrefix": "192.168.100.0/24",
    "IcmpQueryTimeout": 20, "TcpEstablishedConnectionTimeout": 900, "TcpTransientConnectionTimeout": 60,
    "TcpFilteringBehavior": "AddressDependentFiltering", "UdpFilteringBehavior": "EndpointIndependentFiltering",
    "UdpIdleSessionTimeout": 90, "UdpInboundRefresh": False, "Store": "Local", "Active": True,
    "CimClass": {"CimSuperClassName": "CIM_ManagedElement", "TcpEstablishedConnectionTimeout": 1}, "PSComputerName": None,
}  # fmt: skip
MAP: dict[str, Any] = {
    "StaticMappingID": 0, "NatName": "guests", "Protocol": "TCP", "RemoteExternalIPAddressPrefix": "0.0.0.0/0",
    "ExternalIPAddress": "0.0.0.0", "ExternalPort": 8080, "InternalIPAddress": "192.168.100.10", "InternalPort": 80, "Active": True,
}  # fmt: skip
LENT: dict[str, Any] = {
    "ExternalAddressID": 1, "NatName": "guests", "IPAddress": "203.0.113.7", "PortStart": 5000, "PortEnd": 5999, "Active": 1,
}  # fmt: skip
GLOBAL = {"InterRoutingDomainHairpinningMode": "External"}
ALL = [NAT, MAP, LENT, GLOBAL]
SHAPES = {
    "a list": json.dumps(ALL),
    "a list a cmdlet": json.dumps([[NAT], [MAP], [LENT], GLOBAL]),
    "one after the other": "\r\n".join(json.dumps(part, indent=4) for part in (NAT, [MAP], LENT, GLOBAL)),
    "a wrapper": json.dumps({"Get-NetNat": NAT, "StaticMappings": [MAP], "External": LENT, "Global": GLOBAL}),
    "a wrapper with values": json.dumps({"host": "hv1", "value": ALL, "Count": 4}),
    "other cases": json.dumps([{k.lower(): v for k, v in part.items()} for part in ALL]),
}


def read(tmp_path: Path, data: bytes, changes: str = "") -> NatBehavior:
    """The behavior of a file with these bytes."""
    path = tmp_path / "nat.json"
    path.write_bytes(data)
    return chosen(f"{path}{changes}")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("code", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_shape_is_the_same_nat(shape: str, code: str, tmp_path: Path) -> None:
    b = read(tmp_path, SHAPES[shape].encode(code))
    assert (b.udp_idle_s, b.tcp_idle_s, b.tcp_transitory_idle_s, b.icmp_idle_s) == (90, 900, 60, 20)
    assert (b.filtering, b.filtering_tcp) == (Filtering.ENDPOINT_INDEPENDENT, Filtering.ADDRESS_DEPENDENT)
    assert b.inside == ("192.168.100.0/24",)
    assert b.addresses == ("203.0.113.7",)
    assert b.port_ranges == (PortRange(5000, 5999),)
    assert b.static == (Static("", "192.168.100.10", "tcp", (8080, 8080), 80),)
    assert not b.refresh_inbound
    assert b.complete
    assert b.mapping is PRESETS["winnat"].behavior.mapping
    assert b.unmodelled == ("InterRoutingDomainHairpinningMode External",)


def test_what_is_doubtful_is_said(tmp_path: Path) -> None:
    """Numbers of enumerations, NATs that behave otherwise, what is not active."""
    odd = {**NAT, "TcpFilteringBehavior": 1, "UdpFilteringBehavior": 0, "UdpInboundRefresh": 1}
    other = {**NAT, "Name": "others", "UdpIdleSessionTimeout": 5}
    rows = [odd, other, {**MAP, "Protocol": 17}, {**MAP, "NatName": "others"}, {**MAP, "Active": False}, {**MAP, "Protocol": 1}]
    b = read(tmp_path, json.dumps(rows).encode(), ":udp_idle=7")
    assert b.udp_idle_s == 7
    assert b.refresh_inbound
    assert b.filtering is Filtering.ENDPOINT_INDEPENDENT
    assert [s.proto for s in b.static] == ["udp", "udp"]
    assert any("others" in said for said in b.unmodelled)
    assert any("not active" in said for said in b.notes)
    assert any("taken as udp" in said for said in b.notes)
    assert any("taken as address-dependent" in said for said in b.notes)


WRONG = {
    "time": ([{**NAT, "UdpIdleSessionTimeout": "long"}], "'long' is no number"),
    "prefix": ([{**NAT, "InternalIPInterfaceAddressPrefix": "10/33"}], "10/33 is no prefix"),
    "address": ([{**MAP, "InternalIPAddress": "Microsoft.Something"}], "Microsoft.Something is no address"),
    "protocol": ([{**MAP, "Protocol": "GRE"}], "neither TCP nor UDP"),
    "filtering": ([{**NAT, "TcpFilteringBehavior": "Odd"}], "neither Endpoint"),
    "port": ([{**MAP, "ExternalPort": 70000}], "70000"),
    "other objects": ([{"Name": "x"}], "neither of nft nor"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(PcapnatError) as error:
        read(tmp_path, json.dumps(WRONG[name][0]).encode())
    assert WRONG[name][1] in str(error.value)


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.integers(), max_size=2)


@settings(max_examples=150, deadline=None)
@given(part=st.sampled_from(ALL), changes=st.lists(st.tuples(st.integers(0, 12), VALUES), min_size=1, max_size=3))
def test_any_value_gives_a_behavior_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, part: dict[str, Any], changes: list[tuple[int, Any]]
) -> None:
    changed = dict(part)
    for k, value in changes:
        changed[list(part)[k % len(part)]] = value
    path = tmp_path_factory.getbasetemp() / "values.json"
    path.write_text(json.dumps([NAT, changed]))
    try:
        found: object = chosen(str(path))
    except PcapnatError as error:
        found = str(error)
    assert isinstance(found, NatBehavior) or "\n" not in str(found)
