"""What Get-NetNat, Get-NetNatStaticMapping, Get-NetNatExternalAddress and Get-NetNatGlobal give to ConvertTo-Json, as WinNAT's behavior.

Objects may stand alone, in lists, one document after the other, or under names of their own in a wrapper; they are known by their
properties, whose names count without case. Sources: MSFT_NetNat*'s properties, VSWITCH.md 4 of the reference papers.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ..nat.behavior import LONGEST_S, MOST_STATIC, Filtering, NatBehavior, PortRange, Static
from ..nat.presets import PRESETS
from ..terms import printable
from .ruleset import RulesError, number

Record = dict[str, Any]
MOST_RECORDS = 1 << 18
DEEPEST = 12


def powershell(text: str, source: str) -> NatBehavior:
    """The behavior. RulesError says what cannot be read; what has no counterpart is in the behavior's `unmodelled`."""
    nats, maps, lent, general = [], [], [], []
    for r in records(text):
        if "internalipinterfaceaddressprefix" in r or "tcpestablishedconnectiontimeout" in r:
            nats.append(r)
        elif "staticmappingid" in r or {"externalport", "internalipaddress"} <= r.keys():
            maps.append(r)
        elif "externaladdressid" in r or {"portstart", "ipaddress"} <= r.keys():
            lent.append(r)
        elif "interroutingdomainhairpinningmode" in r:
            general.append(r)
    if not nats and not maps and not lent:
        raise RulesError("JSON, but neither of nft nor of Get-NetNat, Get-NetNatStaticMapping or Get-NetNatExternalAddress")
    notes: list[str] = []
    unmodelled: list[str] = []
    nats = [n for n in nats if _active(n, notes, "NAT")]
    chosen = nats[0] if nats else {}
    name = str(chosen.get("name", ""))
    for other in nats[1:]:
        said = f"the NAT {printable(str(other.get('name', '')))[:60]}"
        if _times(other) == _times(chosen) and _filtering(other, []) == _filtering(chosen, []):
            notes.append(f"{said} is taken together with {printable(name)[:60]}: they behave alike")
        else:
            unmodelled.append(f"{said}: it behaves otherwise than {printable(name)[:60]}")
            maps, lent = ([r for r in rows if str(r.get("natname", "")) != str(other.get("name", ""))] for rows in (maps, lent))
    together = [n for n in nats if n is chosen or (_times(n) == _times(chosen) and _filtering(n, []) == _filtering(chosen, []))]
    udp, tcp = _filtering(chosen, notes)
    outer = chosen.get("externalipinterfaceaddressprefix")
    if outer:
        unmodelled.append(f"ExternalIPInterfaceAddressPrefix {printable(str(outer))[:60]}: the address "
                          "that the interface has is taken as seen")  # fmt: skip
    for r in general:
        unmodelled.append(f"InterRoutingDomainHairpinningMode {printable(str(r['interroutingdomainhairpinningmode']))[:40]}")
    inside = tuple(_net(n["internalipinterfaceaddressprefix"]) for n in together if n.get("internalipinterfaceaddressprefix"))
    addresses, ranges = _lent([r for r in lent if _active(r, notes, "external address")], notes)
    static = tuple(s for r in maps if _active(r, notes, "static mapping") for s in _static(r, notes))
    if len(static) > MOST_STATIC:
        raise RulesError(f"more than {MOST_STATIC} static mappings")
    base = PRESETS["winnat"].behavior
    changed: dict[str, Any] = {**_times(chosen), "filtering": udp, "filtering_tcp": tcp if tcp is not udp else None}
    if "udpinboundrefresh" in chosen and chosen["udpinboundrefresh"] is not None:
        changed["refresh_inbound"] = _truth(chosen["udpinboundrefresh"])
    if ranges:
        changed["port_ranges"] = ranges
    return replace(base, name="custom", source=source, inside=inside, addresses=addresses, static=static, complete=bool(maps),
                   unmodelled=tuple(dict.fromkeys(unmodelled)), notes=tuple(dict.fromkeys(notes)), **changed)  # fmt: skip


def records(text: str) -> Iterator[Record]:
    """Every object of some JSON documents in a row that holds more than objects; keys in lower case. RulesError if it is no JSON."""
    reader = json.JSONDecoder()
    at, count = 0, 0
    while True:
        while at < len(text) and text[at] in " \t\r\n\ufeff,":
            at += 1
        if at >= len(text):
            return
        try:
            value, at = reader.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise RulesError(f"no JSON: {printable(str(error))}") from None
        for record in _within(value, 0):
            count += 1
            if count > MOST_RECORDS:
                raise RulesError(f"more than {MOST_RECORDS} objects")
            yield record


def _within(value: Any, depth: int) -> Iterator[Record]:
    if depth > DEEPEST:
        return
    if isinstance(value, list):
        for item in value:
            yield from _within(item, depth + 1)
    elif isinstance(value, dict):
        record = {str(k).lower(): v for k, v in value.items()}
        if any(not isinstance(v, dict | list) for v in record.values()):
            yield record
        for key, item in record.items():
            if key not in ("cimclass", "ciminstanceproperties", "cimsystemproperties"):
                yield from _within(item, depth + 1)


def _active(r: Record, notes: list[str], what: str) -> bool:
    if r.get("active") is None or _truth(r["active"]):
        return True
    notes.append(f"a {what} that is not active is left out")
    return False


def _truth(value: Any) -> bool:
    """true, 1, "True"."""
    if isinstance(value, str):
        return value.strip().lower() in ("true", "1", "yes")
    return bool(value) if isinstance(value, bool | int) else False


TIMES = {
    "udpidlesessiontimeout": "udp_idle_s",
    "tcpestablishedconnectiontimeout": "tcp_idle_s",
    "tcptransientconnectiontimeout": "tcp_transitory_idle_s",
    "icmpquerytimeout": "icmp_idle_s",
}


def _times(r: Record) -> dict[str, float]:
    """The times that are given, in seconds."""
    return {field: number(r[name], int(LONGEST_S)) for name, field in TIMES.items() if r.get(name) is not None}


def _filtering(r: Record, notes: list[str]) -> tuple[Filtering, Filtering]:
    """Of UDP and TCP; numbers are the order of the accepted values, which no document confirms."""
    found = []
    for name in ("udpfilteringbehavior", "tcpfilteringbehavior"):
        value = r.get(name)
        text = str(value).lower()
        if value is None or text.startswith("addressdependent") or text == "1":
            found.append(Filtering.ADDRESS_DEPENDENT)
        elif text.startswith("endpointindependent") or text == "0":
            found.append(Filtering.ENDPOINT_INDEPENDENT)
        else:
            raise RulesError(f"{name}: {text[:40]} is neither EndpointIndependentFiltering nor AddressDependentFiltering")
        if value is not None and not isinstance(value, str):
            notes.append(f"{name}: {text} is taken as {found[-1].value} filtering")
    return found[0], found[1]


def _net(value: Any) -> str:
    try:
        return str(ipaddress.ip_network(str(value), strict=False))
    except ValueError:
        raise RulesError(f"{str(value)[:60]} is no prefix") from None


def _single(value: Any) -> str:
    try:
        return str(ipaddress.ip_address(str(value)))
    except ValueError:
        raise RulesError(f"{str(value)[:60]} is no address") from None


def _lent(rows: list[Record], notes: list[str]) -> tuple[tuple[str, ...], tuple[PortRange, ...]]:
    """Outside addresses and their ports."""
    addresses, ranges = [], set()
    for r in rows:
        if r.get("ipaddress"):
            addresses.append(_single(r["ipaddress"]))
        low, high = (number(r[k]) if r.get(k) is not None else 0 for k in ("portstart", "portend"))
        if 0 < low <= high:
            ranges.add((low, high))
    if len(ranges) > 1:
        low, high = min(r[0] for r in ranges), max(r[1] for r in ranges)
        notes.append(f"outside addresses have ports of their own: any of {low}-{high} is allowed for each")
        ranges = {(low, high)}
    return tuple(dict.fromkeys(addresses)), tuple(PortRange(*r) for r in ranges)


def _static(r: Record, notes: list[str]) -> list[Static]:
    """A static mapping; the outside address 0.0.0.0 is every one."""
    proto = str(r.get("protocol", "TCP")).lower()
    if proto in ("0", "1"):
        notes.append(f"protocol {proto} of a static mapping is taken as {('tcp', 'udp')[int(proto)]}")
    names = {"tcp": "tcp", "6": "tcp", "0": "tcp", "udp": "udp", "17": "udp", "1": "udp"}
    if proto not in names:
        raise RulesError(f"Protocol: {proto[:40]} is neither TCP nor UDP")
    outside, inside = _single(r.get("externalipaddress") or "0.0.0.0"), _single(r.get("internalipaddress"))
    low = number(r.get("externalport", 0))
    to = number(r.get("internalport") or low)
    remote = str(r.get("remoteexternalipaddressprefix") or "")
    remote = "" if not remote or remote == "0.0.0.0/0" else _net(remote)
    everywhere = outside in ("0.0.0.0", "::")
    return [Static("" if everywhere else outside, inside, names[proto], (low, low), to, remote)]
