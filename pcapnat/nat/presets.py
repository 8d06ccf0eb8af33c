"""What known NATs do: one row each, with where it comes from and how sure that is.

A preset lacks only what a site decides: outside addresses, inside prefixes, forwarded ports.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from ..terms import PcapnatError
from .behavior import (
    Filtering,
    Fragments,
    Hairpin,
    Invalid,
    Mapping,
    NatBehavior,
    Pooling,
    PortChoice,
    Portless,
    PortRange,
    TcpMachine,
    Unsolicited,
)


class Sure(Enum):
    """How sure a preset's values are; the value is what a user reads."""

    MEASURED = "measured on it"
    SOURCE = "read in its source"
    DOCUMENTED = "documented by its maker"
    BELIEVED = "believed: practice, not checked"


@dataclass(frozen=True)
class Preset:
    """A known NAT: its behavior, what it is, how sure that is, and which values are less sure than the rest."""

    behavior: NatBehavior
    says: str
    sure: Sure
    believed: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What it is called on the command line."""
        return self.behavior.name


APDM, APDF = Mapping.ADDRESS_AND_PORT_DEPENDENT, Filtering.ADDRESS_AND_PORT_DEPENDENT
EIM, EIF, ADF = Mapping.ENDPOINT_INDEPENDENT, Filtering.ENDPOINT_INDEPENDENT, Filtering.ADDRESS_DEPENDENT
LINUX_CLASSES = (PortRange(1, 511, 0, 511), PortRange(600, 1023, 512, 1023), PortRange(1024, 65535, 1024, 65535))
CISCO_CLASSES = (PortRange(1, 511, 0, 511), PortRange(512, 1023, 512, 1023), PortRange(1024, 65535, 1024, 65535))
RFC_CLASSES = (PortRange(1, 1023, 0, 1023), PortRange(1024, 65535, 1024, 65535))
LINUX = NatBehavior(
    name="linux-masquerade",
    source="Linux 6.18 measured, 6.12 nf_nat_core.c, nf_conntrack_proto_tcp.c and _udp.c",
    mapping=Mapping.BEST_EFFORT,
    filtering=APDF,
    port_choice=PortChoice.PRESERVE_ELSE_RANDOM,
    port_ranges=LINUX_CLASSES,
    keeps_any_port=True,
    port_overloading=True,
    pooling=Pooling.ARBITRARY,
    port_attempts=248,
    hairpin=Hairpin.INTERNAL_SOURCE,
    hairpin_dynamic=False,
    forwards=True,
    udp_idle_s=30,
    udp_reply_idle_s=120,
    udp_assured_after_s=2,
    tcp_idle_s=432000,
    tcp_transitory_idle_s=120,
    tcp_synack_s=60,
    tcp_close_wait_s=60,
    tcp_last_ack_s=30,
    tcp_reset_s=10,
    tcp_unanswered_s=300,
    icmp_idle_s=30,
    other_idle_s=600,
    tcp_machine=TcpMachine.NETFILTER,
    tcp_pickup=True,
    invalid=Invalid.FORWARD,
    unsolicited=Unsolicited.LOCAL,
    table_size=262144,
)
WINNAT = NatBehavior(
    name="winnat",
    source="Get-NetNat's printed defaults; WSL issues 4150 (ports) and 8369 (refresh); docker/for-win 3171 (blocks of 100)",
    mapping=EIM,
    filtering=ADF,
    port_choice=PortChoice.RANDOM,
    port_ranges=(PortRange(49152, 65535),),
    udp_idle_s=120,
    tcp_idle_s=1800,
    tcp_transitory_idle_s=120,
    icmp_idle_s=30,
    refresh_inbound=False,
    portless=Portless.DROP,
)
RFC4787 = NatBehavior(
    name="rfc4787",
    source="RFC 4787, 5382, 5508, 7857: all that is a MUST or RECOMMENDED, with the default times",
    mapping=EIM,
    filtering=EIF,
    port_choice=PortChoice.RANDOM,
    port_ranges=RFC_CLASSES,
    hairpin=Hairpin.EXTERNAL_SOURCE,
    tcp_fin_s=7440,
)
PF = NatBehavior(
    name="pf",
    source="pf_lb.c of OpenBSD and FreeBSD, pfvar.h, pf.conf(5)",
    mapping=APDM,
    filtering=APDF,
    port_choice=PortChoice.RANDOM,
    port_ranges=(PortRange(50001, 65535),),
    icmp_range=(1, 65535),
    port_overloading=True,
    pooling=Pooling.ARBITRARY,
    port_attempts=15535,
    udp_idle_s=60,
    tcp_idle_s=86400,
    tcp_syn_s=120,
    tcp_synack_s=30,
    tcp_fin_s=900,
    tcp_time_wait_s=45,
    tcp_reset_s=90,
    icmp_idle_s=20,
    other_idle_s=60,
    tcp_pickup=True,
    forwards=True,
)
CLOUD = NatBehavior(
    mapping=APDM,
    filtering=APDF,
    port_choice=PortChoice.RANDOM,
    port_overloading=True,
    portless=Portless.DROP,
    udp_idle_s=240,
    tcp_idle_s=240,
    tcp_transitory_idle_s=240,
    icmp_idle_s=240,
)
CGN = replace(RFC4787, source="Juniper's secured port block allocation; RFC 6888", tcp_fin_s=7440)


def _row(name: str, base: NatBehavior, says: str, sure: Sure, believed: tuple[str, ...] = (), source: str = "", **changed: Any) -> Preset:
    return Preset(replace(base, name=name, source=source or base.source, **changed), says, sure, believed)


_ROWS = (
    _row("linux-masquerade", LINUX, "netfilter's masquerade and snat without flags: home routers, Docker hosts", Sure.MEASURED),
    _row("linux-random", LINUX, "masquerade random: every session has its own port", Sure.MEASURED, mapping=APDM,
         port_choice=PortChoice.RANDOM, keeps_any_port=False),
    _row("linux-fully-random", LINUX, "masquerade fully-random, as kube-proxy sets it: as random in kernels of today", Sure.MEASURED,
         mapping=APDM, port_choice=PortChoice.RANDOM, keeps_any_port=False),
    _row("linux-persistent", LINUX, "snat to a pool, persistent: one outside address a host", Sure.MEASURED, pooling=Pooling.PAIRED),
    _row("docker", LINUX, "Docker's bridge network: masquerade, published ports by DNAT, br_netfilter on", Sure.SOURCE),
    _row("mikrotik", LINUX, "RouterOS 7 srcnat masquerade: netfilter with shorter times", Sure.DOCUMENTED,
         source="RouterOS 7 exports of /ip firewall connection tracking", udp_idle_s=30, udp_reply_idle_s=180, tcp_idle_s=86400,
         tcp_transitory_idle_s=10, tcp_synack_s=5, tcp_syn_s=5, tcp_close_wait_s=10, tcp_last_ack_s=10, icmp_idle_s=10),
    _row("winnat", WINNAT, "New-NetNat on Hyper-V hosts and Windows containers", Sure.DOCUMENTED,
         ("mapping", "port_choice", "port_overloading", "hairpin", "portless")),
    _row("winnat-eif", WINNAT, "WinNAT with UdpFilteringBehavior and TcpFilteringBehavior EndpointIndependentFiltering", Sure.DOCUMENTED,
         ("mapping", "port_choice", "port_overloading", "hairpin", "portless"), filtering=EIF),
    _row("windows-ics", WINNAT, "Internet connection sharing and Hyper-V's Default Switch", Sure.BELIEVED,
         ("mapping", "filtering", "port_choice", "udp_idle_s", "tcp_idle_s")),
    _row("hns", WINNAT, "Windows containers' nat network: WinNAT, published ports are static mappings", Sure.DOCUMENTED, ("mapping",)),
    _row("wsl2", WINNAT, "WSL2 in NAT mode: a network of the Default Switch's kind", Sure.BELIEVED, ("mapping", "filtering")),
    _row("azure", CLOUD, "Azure load balancer's outbound rules, 1024 ports a host", Sure.DOCUMENTED, ("filtering",),
         source="Azure documentation, load-balancer-outbound-connections (2022)", mapping=Mapping.ADDRESS_DEPENDENT, mapping_tcp=APDM,
         port_choice=PortChoice.BLOCK, block_size=1024, icmp_queries=False, icmp_errors=False, fragments=Fragments.DROP),
    _row("azure-nat-gateway", CLOUD, "Azure NAT gateway", Sure.DOCUMENTED, ("filtering", "fragments"),
         source="Azure documentation, nat-gateway-resource (2022)", icmp_queries=False, icmp_errors=False, fragments=Fragments.DROP),
    _row("aws-nat-gateway", CLOUD, "AWS NAT gateway", Sure.DOCUMENTED, ("filtering", "port_choice", "udp_idle_s"),
         source="Amazon VPC guide, NAT gateway basics and troubleshooting", udp_idle_s=350, tcp_idle_s=350, tcp_transitory_idle_s=350,
         icmp_idle_s=350),
    _row("gcp-cloud-nat", CLOUD, "Google Cloud NAT, static allocation of 64 ports a host", Sure.DOCUMENTED, ("filtering",),
         source="Google Cloud documentation, Cloud NAT ports and addresses, timeouts", port_choice=PortChoice.BLOCK, block_size=64,
         udp_idle_s=30, tcp_idle_s=1200, tcp_transitory_idle_s=30, tcp_time_wait_s=120, icmp_idle_s=30),
    _row("pf", PF, "pf's nat-to: OpenBSD, FreeBSD, macOS, pfSense, OPNsense", Sure.SOURCE, ("forwards",), udp_reply_idle_s=60),
    _row("pf-static-port", PF, "pf with static-port: the inside port or nothing", Sure.SOURCE, ("forwards",),
         port_choice=PortChoice.PRESERVE, port_ranges=(PortRange(0, 65535),)),
    _row("cisco-ios", CLOUD, "ip nat inside source ... overload", Sure.DOCUMENTED,
         ("mapping", "port_choice", "port_overloading", "filtering"), source="show run all: ip nat translation timeouts",
         mapping=EIM, port_choice=PortChoice.PRESERVE_ELSE_SEQUENTIAL, port_ranges=CISCO_CLASSES, port_overloading=False, udp_idle_s=300,
         udp_dns_s=60, tcp_idle_s=86400, tcp_transitory_idle_s=60, icmp_idle_s=60, other_idle_s=86400, tcp_pickup=True),
    _row("cisco-asa", CLOUD, "ASA and FTD dynamic PAT; the TTL stays, TCP sequence numbers do not", Sure.DOCUMENTED,
         ("ttl_step", "port_choice"), source="Cisco ASA guides: PAT pools, timeout dumps", mapping=EIM,
         port_choice=PortChoice.PRESERVE_ELSE_RANDOM, port_ranges=CISCO_CLASSES, port_overloading=False, udp_idle_s=120, tcp_idle_s=3600,
         tcp_transitory_idle_s=30, tcp_fin_s=600, icmp_idle_s=2, ttl_step=0),
    _row("juniper", CLOUD, "MX NAPT with automatic ports, a port for each session", Sure.DOCUMENTED, ("mapping", "filtering"),
         source="Junos OS documentation, network address port translation", port_choice=PortChoice.SEQUENTIAL, port_overloading=False,
         udp_idle_s=300, tcp_idle_s=7440, icmp_idle_s=60),
    _row("vpp", RFC4787, "VPP nat44-ed", Sure.SOURCE, source="VPP src/plugins/nat/nat44-ed", mapping=APDM, filtering=APDF,
         port_choice=PortChoice.PRESERVE_ELSE_RANDOM, port_ranges=(PortRange(1024, 65535),), port_overloading=True, tcp_fin_s=None),
    _row("vpp-ei", RFC4787, "VPP nat44-ei", Sure.SOURCE, ("filtering",), source="VPP src/plugins/nat/nat44-ei",
         port_ranges=(PortRange(1024, 65535),), tcp_fin_s=None),
    _row("slirp", CLOUD, "libslirp: QEMU's and others' user networks; ends TCP itself", Sure.SOURCE, ("udp_dns_s",),
         source="QEMU slirp udp.c, socket.c", mapping=EIM, filtering=EIF, port_choice=PortChoice.HOST_EPHEMERAL,
         port_ranges=(PortRange(32768, 60999),), port_overloading=False, udp_idle_s=240,
         udp_dns_s=10, ttl_new=64),
    _row("passt", CLOUD, "passt and pasta: sockets of the host, by default with its address and the same ports; ends TCP itself",
         Sure.DOCUMENTED, ("mapping", "filtering", "udp_idle_s"), source="passt(1)", mapping=EIM, filtering=EIF,
         port_choice=PortChoice.PRESERVE_ELSE_RANDOM, port_ranges=(PortRange(1024, 65535),), port_overloading=False,
         udp_idle_s=180, ttl_new=64),
    _row("cgn-pba", CGN, "carrier-grade NAT, blocks of 128 ports, 8 a host", Sure.DOCUMENTED, ("filtering",),
         port_choice=PortChoice.BLOCK, port_ranges=(PortRange(1024, 65535),), block_size=128, blocks_per_host=8),
    _row("cgn-deterministic", CGN, "carrier-grade NAT, a share of ports by the inside address", Sure.SOURCE, ("filtering",),
         source="RFC 7422 section 2; VPP det44", port_choice=PortChoice.STATIC, port_ranges=(PortRange(1024, 65535),),
         inside=("100.64.0.0/26",)),
    _row("rfc4787", RFC4787, "what the RFCs demand and recommend", Sure.DOCUMENTED),
    _row("rfc-strict", RFC4787, "the same with everything optional on: port preservation, parity, address dependent filtering",
         Sure.DOCUMENTED, port_choice=PortChoice.PRESERVE_ELSE_RANDOM, parity=True, filtering=ADF),
)  # fmt: skip
PRESETS: dict[str, Preset] = {row.name: row for row in _ROWS}
assert len(PRESETS) == len(_ROWS)


def preset(name: str) -> Preset:
    """A preset by name; the error names those that come near."""
    if name in PRESETS:
        return PRESETS[name]
    from difflib import get_close_matches

    near = get_close_matches(name, PRESETS, 3) or sorted(PRESETS)
    raise PcapnatError(f"{name}: no such model; there is {', '.join(near)}")
