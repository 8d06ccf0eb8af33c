"""A behavior as commands of Windows: New-NetNat, Set-NetNat, Add-NetNatExternalAddress, Add-NetNatStaticMapping (WinNAT)."""

from __future__ import annotations

import ipaddress

from ..address import common_prefix, cover
from ..nat.behavior import Filtering, Hairpin, Mapping, NatBehavior, PortChoice, Static, protocol
from ..nat.presets import preset
from .netfilter import FULL, MOST_SINGLE, everywhere, single
from .unsaid import Site, Told, endless

BASE = "winnat"
MOST_PORTS = 1024
"""Static mappings, one a port, of a forwarded range."""
TIMES = {
    "UdpIdleSessionTimeout": "udp_reply_idle_s",
    "TcpEstablishedConnectionTimeout": "tcp_idle_s",
    "TcpTransientConnectionTimeout": "tcp_transitory_idle_s",
    "IcmpQueryTimeout": "icmp_idle_s",
}


def powershell(behavior: NatBehavior, site: Site = Site()) -> str:  # noqa: B008 (frozen)
    """The commands, for IPv4 (WinNAT has no other); comments for what it does otherwise."""
    told = Told(behavior, site)
    told.said |= {"addresses", "inside", "static", "router", "nat64", "udp_idle_s"}
    commands = (
        _nat(told) + _settings(told) + _addresses(told) + [line for rule in everywhere(behavior) for line in _static(single(rule), told)]
    )
    _choices(told)
    if behavior.nat64:
        told.note(f"NAT64 is no work of WinNAT: prefix {behavior.nat64}")
    notes = told.notes + [f"{name}: not seen to end" for name in endless(behavior, site.free)] + told.left(preset(BASE).behavior)
    head = ["# Commands that do what these captures show, as far as they can be said; they need the rights of an administrator."]
    head += [f"# {line}" for line in site.head()]
    return "\n".join([*head, *(f"# not said here: {note}" for note in notes), *commands]) + "\n"


def _nat(told: Told) -> list[str]:
    given = told.behavior.inside or told.site.hosts or tuple(rule.inside for rule in told.behavior.static)
    four = [str(n) for n in (ipaddress.ip_network(a, strict=False) for a in given) if n.version == 4]
    six = len(given) - len(four)
    if six:
        told.note(f"{six} IPv6 hosts or prefixes inside")
    if not given:
        told.note("the prefix inside, which is not known: put it in the place of 192.168.0.0/16")
        four = ["192.168.0.0/16"]
    whole = cover([p.removesuffix("/32") for p in four]) if all(p.endswith("/32") for p in four) else four
    if not whole:
        return []
    prefix = whole[0] if len(whole) == 1 else common_prefix(whole)
    if "/" not in prefix or prefix.endswith("/32"):
        prefix = str(ipaddress.ip_network(f"{(prefix or whole[0]).split('/')[0]}/24", strict=False))
    told.note(f"how long the prefix inside is: {prefix} holds the hosts that were seen")
    return [f"New-NetNat -Name pcapnat -InternalIPInterfaceAddressPrefix {prefix}"]


def _settings(told: Told) -> list[str]:
    b = told.behavior
    words = []
    for name in ("UdpFilteringBehavior", "TcpFilteringBehavior"):
        if told.has("filtering"):
            own = b.filtering_tcp if name[0] == "T" and b.filtering_tcp and told.has("filtering_tcp") else b.filtering
            words.append(f"-{name} {'EndpointIndependentFiltering' if own.depth == 0 else 'AddressDependentFiltering'}")
            if own is Filtering.ADDRESS_AND_PORT_DEPENDENT:
                told.note(f"filtering = {own.value}: WinNAT goes by the address alone")
    for word, name in TIMES.items():
        if (seconds := told.seconds(name)) is not None:
            words.append(f"-{word} {seconds}")
    if "udp_idle_s" not in told.site.free and b.seconds("udp_idle_s") != b.seconds("udp_reply_idle_s"):
        told.note(f"udp_idle_s = {b.udp_idle_s:g}: WinNAT has one time for UDP, answered or not")
    if told.has("refresh_inbound"):
        words.append(f"-UdpInboundRefresh ${'true' if b.refresh_inbound else 'false'}")
    return [f"Set-NetNat -Name pcapnat {' '.join(words)}"] if words else []


def _addresses(told: Told) -> list[str]:
    b, out = told.behavior, []
    ranges = [(r.low, r.high) for r in b.port_ranges]
    span = ""
    if told.has("port_ranges"):
        if len(ranges) == 1 and ranges[0] not in FULL:
            span = f" -PortStart {ranges[0][0]} -PortEnd {ranges[0][1]}"
        elif len(ranges) > 1:
            told.note("port_ranges by class of inside port: WinNAT has one range")
    nets = [ipaddress.ip_network(a, strict=False) for a in b.addresses]
    names = [str(address) for n in nets if n.version == 4 for address in n][: MOST_SINGLE + 1]
    if len(names) > MOST_SINGLE:
        told.note(f"addresses beyond the first {MOST_SINGLE}")
    if any(n.version == 6 for n in nets):
        told.note("IPv6 addresses outside")
    if told.site.hosts == ():
        return []
    for name in names[:MOST_SINGLE]:
        out.append(f"Add-NetNatExternalAddress -NatName pcapnat -IPAddress {name}{span}")
    return out


def _static(rule: Static, told: Told) -> list[str]:
    """A mapping a port; what is no single TCP or UDP port is a comment."""
    numbers = [n for n in ((protocol(rule.proto),) if rule.proto else (6, 17)) if n in (6, 17)]
    low, high = rule.ports
    where = f"static {rule.outside} {rule.proto or 'all'} {low}-{high} to {rule.inside}"
    if "/" in rule.outside or ":" in rule.outside or not numbers or high - low >= MOST_PORTS:
        told.note(f"{where}: WinNAT maps single TCP and UDP ports of IPv4 only")
        return []
    if rule.outbound:
        told.note(f"{where}: that the host leaves with it, too")
    remote = f" -RemoteExternalIPAddressPrefix {ipaddress.ip_network(rule.remote, strict=False)}" if rule.remote else ""
    to = low if rule.to_port is None else rule.to_port
    return [
        f"Add-NetNatStaticMapping -NatName pcapnat -Protocol {'TCP' if n == 6 else 'UDP'}{remote} -ExternalIPAddress {rule.outside} "
        f"-ExternalPort {port} -InternalIPAddress {rule.inside} -InternalPort {to + port - low}"
        for n in numbers
        for port in range(low, high + 1)
    ]


def _choices(told: Told) -> None:
    """What WinNAT decides itself."""
    b = told.behavior
    if told.has("mapping") and b.mapping is not Mapping.ENDPOINT_INDEPENDENT:
        told.note(f"mapping = {b.mapping.value}: WinNAT keeps a mapping towards all (endpoint-independent)")
    if told.has("port_choice") and b.port_choice is not PortChoice.RANDOM:
        size = f", block_size = {b.block_size}" if b.block_size else ""
        told.note(f"port_choice = {b.port_choice.value}{size}: WinNAT takes ports of blocks of its own")
    told.said.add("block_size")
    if told.has("port_overloading") and b.port_overloading:
        told.note("port_overloading = true: an outside port of WinNAT belongs to one host")
    if told.has("hairpin") and b.hairpin is not Hairpin.NONE:
        told.note(f"hairpin = {b.hairpin.value}")
