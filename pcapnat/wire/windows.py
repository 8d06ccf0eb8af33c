"""What Windows' capture tools say of a packet beside its bytes: directions, drop reasons, identities, comments.

The same facts come from trace logs (etl.py), and from pcapng files made of them by etl2pcapng and pktmon: there they
stand in packet comments, in the names of interfaces, and in the options epb_flags, epb_packetid and epb_verdict.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import IntEnum

from ..table import Table, column

Fact = int | str


class Direction(IntEnum):
    """Which way a packet was going, by pktmon's numbers. In and Out are the component's own words."""

    UNKNOWN = 0
    IN = 1
    OUT = 2
    RECEIVED = 3
    SENT = 4
    INGRESS = 5
    EGRESS = 6

    @property
    def inbound(self) -> bool | None:
        """True towards this host's upper layers, or into the switch; None where nothing is said."""
        return None if self is Direction.UNKNOWN else bool(self & 1)


class PacketFacts(Table):
    """What a Windows trace knows of each frame beyond pcap; row i belongs to row i of the chunk's Frames."""

    packet_id = column("int64", "pktmon's PktGroupId; 0: none. Equal numbers are one packet seen at several places")
    part = column("uint16", "pktmon's PktNumber: which packet of those that were handed over together")
    direction = column("uint8", "which way the packet was going, see Direction")
    dropped = column("uint8", "1: the component discarded the packet here")
    reason = column("uint32", "why it was discarded, see DROP_REASONS; 0 can be a reason too (unspecified)")
    place = column("uint32", "which place in the component's code discarded it")
    edge = column("uint16", "which boundary of the component the packet crossed")
    vlan = column("uint16", "VLAN identifier kept outside the frame; 0: none")


def _numbered(first: int, names: str) -> dict[int, str]:
    return {first + i: name for i, name in enumerate(names.split()) if name != "-"}


DROP_REASONS = {
    **_numbered(
        0,
        "Unknown InvalidData InvalidPacket Resources NotReady Disconnected NotAccepted Busy Filtered FilteredVLAN UnauthorizedVLAN "
        "UnauthorizedMAC FailedSecurityPolicy FailedPvlanSetting Qos Ipsec MacSpoofing DhcpGuard RouterGuard BridgeReserved "
        "VirtualSubnetId RequiredExtensionMissing InvalidConfig MTUMismatch NativeFwdingReq InvalidVlanFormat InvalidDestMac "
        "InvalidSourceMac InvalidFirstNBTooSmall Wnv StormLimit InjectedIcmp FailedDestinationListUpdate NicDisabled "
        "FailedPacketFilter SwitchDataFlowDisabled FilteredIsolationUntagged InvalidPDQueue LowPower",
    ),
    **_numbered(
        201,
        "Pause Reset SendAborted ProtocolNotBound Failure InvalidLength HostOutOfMemory FrameTooLong FrameTooShort FrameLengthError "
        "CrcError BadFrameChecksum FcsError SymbolError HeadQTimeout StalledDiscard RxQFull PhysLayerError DmaError FirmwareError "
        "DecryptionFailed BadSignature CoalescingError - VlanSpoofing UnallowedEtherType VportDown SteeringMismatch",
    ),
    **_numbered(401, "MicroportError VfNotReady MicroportNotReady VMBusError"),
    **_numbered(
        601,
        "FL_LoopbackPacket FL_InvalidSnapHeader FL_InvalidEthernetType FL_InvalidPacketLength FL_HeaderNotContiguous "
        "FL_InvalidDestinationType FL_InterfaceNotReady FL_ProviderNotReady FL_InvalidLsoInfo FL_InvalidUsoInfo FL_InvalidMedium "
        "FL_InvalidArpHeader FL_NoClientInterface FL_TooManyNetBuffers FL_FlsNpiClientDrop",
    ),
    **_numbered(
        701,
        "ArpGuard ArpLimiter DhcpLimiter BlockBroadcast BlockNonIp ArpFilter Ipv4Guard Ipv6Guard MacGuard BroadcastNoDestinations "
        "UnicastNoDestination UnicastPortNotReady SwitchCallbackFailed Icmpv6Limiter Intercept InterceptBlock NDPGuard PortBlocked "
        "NicSuspended",
    ),
    **_numbered(
        901,
        "NL_BadSourceAddress NL_NotLocallyDestined NL_ProtocolUnreachable NL_PortUnreachable NL_BadLength NL_MalformedHeader NL_NoRoute "
        "NL_BeyondScope NL_InspectionDrop NL_TooManyDecapsulations NL_AdministrativelyProhibited NL_BadChecksum NL_ReceivePathMax "
        "NL_HopLimitExceeded NL_AddressUnreachable NL_RscPacket NL_ForwardPathMax NL_ArbitrationUnhandled NL_InspectionAbsorb "
        "NL_DontFragmentMtuExceeded NL_BufferLengthExceeded NL_AddressResolutionTimeout NL_AddressResolutionFailure NL_IpsecFailure "
        "NL_ExtensionHeadersFailure NL_IpsnpiClientDrop NL_UnsupportedOffload NL_RoutingFailure NL_AncillaryDataFailure "
        "NL_RawDataFailure NL_SessionStateFailure",
    ),
    **_numbered(
        1200,
        "INET_SourceUnspecified INET_DestinationMulticast INET_HeaderInvalid INET_ChecksumInvalid INET_EndpointNotFound "
        "INET_ConnectedPath INET_SessionState INET_ReceiveInspection INET_AckInvalid INET_ExpectedSyn INET_Rst INET_SynRcvdSyn "
        "INET_SimultaneousConnect INET_PawsFailed INET_LandAttack INET_MissedReset INET_OutsideWindow INET_DuplicateSegment "
        "INET_ClosedWindow INET_TcbRemoved INET_FinWait2 INET_ReassemblyConflict INET_FinReceived INET_ListenerInvalidFlags "
        "INET_TcbNotInTcbTable INET_TimeWaitTcbReceivedRstOutsideWindow INET_TimeWaitTcbSynAndOtherFlags INET_TimeWaitTcb "
        "INET_SynAckWithFastopenCookieRequest INET_PauseAccept INET_SynAttack INET_AcceptInspection INET_AcceptRedirection",
    ),
    **_numbered(
        1301,
        "SlbMux_ParsingFailure SlbMux_FirstFragmentMiss SlbMux_ICMPErrorPayloadValidationFailure "
        "SlbMux_ICMPErrorPacketMatchNoSession SlbMux_ExternalHairpinNexthopLookupFailure SlbMux_NoMatchingStaticMapping "
        "SlbMux_NexthopReferenceFailure SlbMux_CloningFailure SlbMux_TranslationFailure SlbMux_HopLimitExceeded "
        "SlbMux_PacketBiggerThanMTU SlbMux_UnexpectedRouteLookupFailure SlbMux_NoRoute SlbMux_SessionCreationFailure "
        "SlbMux_NexthopNotOverExternalInterface SlbMux_NexthopExternalInterfaceMissNATInstance "
        "SlbMux_NATItselfCantBeInternalNexthop SlbMux_PacketRoutableInItsArrivalCompartment "
        "SlbMux_PacketTransportProtocolNotSupported SlbMux_PacketIsDestinedLocally "
        "SlbMux_PacketDestinationIPandPortNotSubjectToNAT SlbMux_MuxReject SlbMux_DipLookupFailure SlbMux_MuxEncapsulationFailure "
        "SlbMux_InvalidDiagPacketEncapType SlbMux_DiagPacketIsRedirect SlbMux_UnableToHandleRedirect",
    ),
}
"""pktmon's names of its drop reasons (pktmonnpik.h), without prefix. Builds of 2018 used some numbers otherwise."""


def _whole(text: str) -> Fact:
    try:
        return int(text, 0)
    except ValueError:
        return text


def _hexadecimal(text: str) -> Fact:
    try:
        return int(text, 16)
    except ValueError:
        return text


Keys = dict[str, tuple[str, Callable[[str], Fact]]]

ETL2PCAPNG: Keys = {
    "PID": ("process", _whole),
    "TID": ("thread", _whole),
    "VlanId": ("vlan", _whole),
    "SrcPortId": ("port", _whole),
    "SrcNicType": ("nic_type", str),
    "SrcNicName": ("nic", str),
    "SrcPortName": ("port_name", str),
    "DstNicCount": ("destinations", _whole),
    "HashValue": ("hash", _hexadecimal),
    "RoutingDomainId": ("routing_domain", str),
    "Username": ("user", str),
}
WIRELESS: Keys = {
    "ReceiveFlags": ("receive_flags", _whole),
    "PhyType": ("phy", str),
    "CenterCh": ("channel", _whole),
    "NumMPDUsReceived": ("mpdus", _whole),
    "RSSI": ("rssi", _whole),
    "DataRate": ("rate", _whole),
}
PKTMON: Keys = {
    "PktGroupId": ("packet_id", _whole),
    "PktNumber": ("part", _whole),
    "Appearance": ("appearance", _whole),
    "Direction": ("direction", str),
    "Type": ("packet_type", str),
    "Component": ("component", _whole),
    "Edge": ("edge", _whole),
    "Filter": ("filter", _whole),
    "DropReason": ("reason", str),
    "DropLocation": ("place", _whole),
    "OriginalSize": ("original_size", _whole),
    "LoggedSize": ("logged_size", _whole),
}


def _finder(keys: Keys, before: str, after: str) -> re.Pattern[str]:
    return re.compile(rf"(?:^|{before})({'|'.join(keys)}){after}")


FORMS = (
    (ETL2PCAPNG, _finder(ETL2PCAPNG, r"\s", "=")),
    (WIRELESS, _finder(WIRELESS, r"[\s,]", ":")),
)
PKTMON_FINDER = _finder(PKTMON, r"[,:]\s*", r"\s")


def comment_facts(comment: str) -> dict[str, Fact]:
    """What a packet comment of etl2pcapng, or a line of pktmon's text form, says; empty for any other comment.

    Names of ports and NICs may hold spaces: a value reaches to the next known key. The first of equal keys counts.
    """
    facts: dict[str, Fact] = {}
    if "PktGroupId" in comment:
        _collect(comment, PKTMON, PKTMON_FINDER, facts)
        if "reason" in facts or comment.lstrip().startswith("Drop:"):
            facts["dropped"] = 1
        return facts
    plain, wireless, metadata = comment.partition("Packet Metadata:")
    _collect(plain, *FORMS[0], facts)
    if wireless:
        _collect(metadata, *FORMS[1], facts)
    return facts


def _collect(text: str, keys: Keys, finder: re.Pattern[str], facts: dict[str, Fact]) -> None:
    found = list(finder.finditer(text))
    for i, match in enumerate(found):
        end = found[i + 1].start() if i + 1 < len(found) else len(text)
        name, convert = keys[match[1]]
        facts.setdefault(name, convert(text[match.end() : end].strip(" ,\t\r\n\0")))


def interface_facts(name: str) -> dict[str, Fact]:
    """What a name that etl2pcapng gives an interface says: medium, interface index, VLAN, the virtual NIC's type and port."""
    medium, *rest = name.split(":")
    if medium == "vNIC" and len(rest) >= 4:
        return {
            "medium": medium,
            "nic_type": rest[0],
            "port_name": ":".join(rest[1:-2]),
            "index": _whole(rest[-2]),
            "vlan": _whole(rest[-1]),
        }
    if medium == "eth" and len(rest) == 2:
        return {"medium": medium, "index": _whole(rest[0]), "vlan": _whole(rest[1])}
    if medium in ("wifi", "mbb") and len(rest) == 1:
        return {"medium": medium, "index": _whole(rest[0])}
    if medium == "Rras" and len(rest) >= 3:
        return {"medium": medium, "index": _whole(rest[0]), "routing_domain": rest[1], "user": ":".join(rest[2:])}
    return {}


def flags_direction(flags: int) -> Direction:
    """The direction in pcapng's epb_flags: two bits, 1 inbound, 2 outbound."""
    return (Direction.UNKNOWN, Direction.RECEIVED, Direction.SENT, Direction.UNKNOWN)[flags & 3]


def verdict_drops(verdict: bytes) -> bool:
    """Whether an epb_verdict option says that the packet was dropped, as etl2pcapng does: type 2 (XDP), 1 in 8 bytes."""
    return len(verdict) == 9 and verdict[0] == 2 and verdict[1:] in ((1).to_bytes(8, "little"), (1).to_bytes(8, "big"))
