"""Addresses as columns (n, 2) of uint64, IPv4 as ::ffff:a.b.c.d, and as text."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

V4_MAPPED = 0xFFFF


def text(high: int, low: int) -> str:
    """One address as people write it (RFC 5952)."""
    if high == 0 and low >> 32 == V4_MAPPED:
        return f"{low >> 24 & 255}.{low >> 16 & 255}.{low >> 8 & 255}.{low & 255}"
    return str(ipaddress.IPv6Address(high << 64 | low))


def texts(column: NDArray[Any]) -> list[str]:
    """A whole column as text; each different address is formatted once."""
    if not len(column):
        return []
    pairs = np.ascontiguousarray(column).view([("high", np.uint64), ("low", np.uint64)]).ravel()
    values, back = np.unique(pairs, return_inverse=True)
    names = np.array([text(int(v["high"]), int(v["low"])) for v in values], dtype=object)
    named: list[str] = names[back.ravel()].tolist()
    return named


def parse(address: str) -> tuple[int, int]:
    """The two words of an address given as text."""
    value = ipaddress.ip_address(address)
    if value.version == 4:
        return 0, V4_MAPPED << 32 | int(value)
    return int(value) >> 64, int(value) & (1 << 64) - 1


def is_private(address: str) -> bool:
    """Private in the sense of a NAT's inside: RFC 1918, RFC 6598 (CGN) and RFC 4193 (ULA)."""
    value = ipaddress.ip_address(address)
    return any(value in net for net in PRIVATE[value.version])


PRIVATE: dict[int, list[Any]] = {
    4: [ipaddress.ip_network(n) for n in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")],
    6: [ipaddress.ip_network("fc00::/7")],
}


def is_link_local(address: str) -> bool:
    """169.254.0.0/16 (RFC 3927) or fe80::/10 (RFC 4291): never forwarded."""
    return ipaddress.ip_address(address).is_link_local


def is_group(address: str) -> bool:
    """Multicast, the limited broadcast, or an address that looks like a subnet's broadcast (a.b.c.255 of a private net)."""
    value = ipaddress.ip_address(address)
    return value.is_multicast or address == "255.255.255.255" or (value.version == 4 and address.endswith(".255") and is_private(address))


def network(address: str) -> str:
    """The /24 (IPv4) or /64 (IPv6) that an address lies in."""
    return str(ipaddress.ip_network((address, 64 if ":" in address else 24), strict=False))


def cover(addresses: Iterable[str]) -> list[str]:
    """A few prefixes that hold all addresses: /24 (IPv4) or /64 (IPv6) each, single addresses as themselves.

    The captures do not tell the prefix length of a network; this is the customary one and is shown as such.
    """
    groups: dict[Any, set[str]] = {}
    for address in addresses:
        value = ipaddress.ip_address(address)
        net = ipaddress.ip_network((address, 24 if value.version == 4 else 64), strict=False)
        groups.setdefault(net, set()).add(address)
    return [
        str(net) if len(members) > 1 else min(members)
        for net, members in sorted(groups.items(), key=lambda g: (g[0].version, int(g[0].network_address)))
    ]


def common_prefix(prefixes: Iterable[str]) -> str:
    """The longest prefix that holds all of them, empty if they are of both versions or have next to nothing in common."""
    nets = [ipaddress.ip_network(p) for p in prefixes]
    if len({net.version for net in nets}) != 1:
        return ""
    low = min(int(net.network_address) for net in nets)
    high = max(int(net.broadcast_address) for net in nets)
    bits = 32 if nets[0].version == 4 else 128
    length = bits - (low ^ high).bit_length()
    if length < (8 if bits == 32 else 32):
        return ""
    kind = ipaddress.IPv4Network if bits == 32 else ipaddress.IPv6Network
    return str(kind((low >> (bits - length) << (bits - length), length)))
