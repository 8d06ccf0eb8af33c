"""Why pktmon says a packet was discarded: the names of PKTMON_DROP_REASON in pktmonnpik.h, without their prefix.

Builds of 2018 used some numbers from 101 on otherwise. The texts that pktmon itself prints differ from build to build and
from language to language: what is kept is the number, what is said is made of the name.
"""

from __future__ import annotations

import re

NOT_SAID = 0xFFFF_FFFF
"""Dropped, and the file does not say why; 0 is a reason that Windows gives: unspecified."""


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
        "NL_RawDataFailure NL_SessionStateFailure NL_IpsnpiModifiedButNotForwarded NL_IpsnpiNoNextHop NL_IpsnpiNoCompartment "
        "NL_IpsnpiNoInterface NL_IpsnpiNoSubInterface NL_IpsnpiInterfaceDisabled NL_IpsnpiSegmentationFailed NL_IpsnpiNoEthernetHeader "
        "NL_IpsnpiUnexpectedFragment NL_IpsnpiUnsupportedInterfaceType NL_IpsnpiInvalidLsoInfo NL_IpsnpiInvalidUsoInfo NL_InternalError "
        "NL_AdministrativelyConfigured NL_BadOption NL_LoopbackDisallowed NL_SmallerScope NL_QueueFull NL_InterfaceDisabled "
        "NL_IcmpGeneric NL_IcmpTruncatedHeader NL_IcmpInvalidChecksum NL_IcmpInspection NL_IcmpNeighborDiscoveryLoopback "
        "NL_IcmpUnknownType NL_IcmpTruncatedIpHeader NL_IcmpOversizedIpHeader NL_IcmpNoHandler NL_IcmpRespondingToError "
        "NL_IcmpInvalidSource NL_IcmpInterfaceRateLimit NL_IcmpPathRateLimit NL_IcmpNoRoute NL_IcmpMatchingRequestNotFound "
        "NL_IcmpBufferTooSmall NL_IcmpAncillaryDataQuery NL_IcmpIncorrectHopLimit NL_IcmpUnknownCode NL_IcmpSourceNotLinkLocal "
        "NL_IcmpTruncatedNdHeader NL_IcmpInvalidNdOptSourceLinkAddr NL_IcmpInvalidNdOptMtu NL_IcmpInvalidNdOptPrefixInformation "
        "NL_IcmpInvalidNdOptRouteInformation NL_IcmpInvalidNdOptRdnss NL_IcmpInvalidNdOptDnssl NL_IcmpPacketParsingFailure "
        "NL_IcmpDisallowed NL_IcmpInvalidRouterAdvertisement NL_IcmpSourceFromDifferentLink NL_IcmpInvalidRedirectDestinationOrTarget "
        "NL_IcmpInvalidNdTarget NL_IcmpNaMulticastAndSolicited NL_IcmpNdLinkLayerAddressIsLocal NL_IcmpDuplicateEchoRequest "
        "NL_IcmpNotAPotentialRouter NL_IcmpInvalidMldQuery NL_IcmpInvalidMldReport NL_IcmpLocallySourcedMldReport "
        "NL_IcmpNotLocallyDestined NL_ArpInvalidSource NL_ArpInvalidTarget NL_ArpDlSourceIsLocal NL_ArpNotLocallyDestined "
        "NL_NlClientDiscard NL_IpsnpiUroSegmentSizeExceedsMtu NL_IcmpFragmentedPacket NL_FirstFragmentIncomplete NL_SourceViolation "
        "NL_IcmpJumbogram NL_SwUsoFailure",
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
    **_numbered(
        1401,
        "Ipsec_BadSpi Ipsec_SALifetimeExpired Ipsec_WrongSA Ipsec_ReplayCheckFailed Ipsec_InvalidPacket Ipsec_IntegrityCheckFailed "
        "Ipsec_ClearTextDrop Ipsec_AuthFirewallDrop Ipsec_ThrottleDrop Ipsec_Dosp_Block Ipsec_Dosp_ReceivedMulticast "
        "Ipsec_Dosp_InvalidPacket Ipsec_Dosp_StateLookupFailed Ipsec_Dosp_MaxEntries Ipsec_Dosp_KeymodNotAllowed "
        "Ipsec_Dosp_MaxPerIpRateLimitQueues Ipsec_NoMemory Ipsec_Unsuccessful",
    ),
    **_numbered(
        1501,
        "NetCx_NetPacketLayoutParseFailure NetCx_SoftwareChecksumFailure NetCx_NicQueueStop NetCx_InvalidNetBufferLength "
        "NetCx_LSOFailure NetCx_USOFailure NetCx_BufferBounceFailureAndPacketIgnore",
    ),
    **_numbered(3000, "Http_InvalidPacket"),
    **_numbered(
        3002,
        "Http_UlError Http_UlErrorVerb Http_UlErrorUrl Http_UlErrorHeader Http_UlErrorHost Http_UlErrorNum Http_UlErrorFieldLength "
        "Http_UlErrorRequestLength Http_UlErrorUnauthorized Http_UlErrorForbiddenUrl Http_UlErrorNotFound Http_UlErrorContentLength "
        "Http_UlErrorPreconditionFailed Http_UlErrorEntityTooLarge Http_UlErrorUrlLength Http_UlErrorRangeNotSatisfiable "
        "Http_UlErrorMisdirectedRequest Http_UlErrorInternalServer Http_UlErrorNotImplemented Http_UlErrorUnavailable "
        "Http_UlErrorConnectionLimit Http_UlErrorRapidFailProtection Http_UlErrorRequestQueueFull Http_UlErrorDisabledByAdmin "
        "Http_UlErrorDisabledByApp Http_UlErrorJobObjectFired Http_UlErrorAppPoolBusy Http_UlErrorVersion",
    ),
    **_numbered(3600, "Http_ReceiveSuppressed"),
    **_numbered(
        3800,
        "Http_Generic Http_InvalidParameter Http_InsufficientResources Http_InvalidHandle Http_NotSupported Http_BadNetworkPath "
        "Http_InternalError Http_NoSuchPackage Http_PrivilegeNotHeld Http_CannotImpersonate Http_LogonFailure "
        "Http_NoSuchLogonSession Http_AccessDenied Http_NoLogonServers Http_TimeDifferenceAtDc",
    ),
}

WORDS = r"IP(?=and)|[A-Z]{2,}(?![a-z])|[A-Z]?[a-z]+\d*|[A-Z]"
SHORT = {
    "arp",
    "crc",
    "dhcp",
    "dma",
    "fcs",
    "icmp",
    "ip",
    "ipsec",
    "lso",
    "mac",
    "mld",
    "mtu",
    "nd",
    "nic",
    "paws",
    "rst",
    "sa",
    "tcb",
    "vm",
}
SHORT |= {"syn", "ttl", "uso", "vlan", "vm"}
NUMBERS = {name.lower(): number for number, name in DROP_REASONS.items()}
PRINTED = {
    "unspecified": 0,
    "insufficient resources": 3,
    "adapter not ready": 4,
    "media disconnected": 5,
    "device busy": 7,
    "qos drop": 14,
    "ipsec drop": 15,
    "spoofed mac address is not allowed": 16,
    "failed dhcp guard": 17,
    "failed router guard": 18,
    "bridge is not allowed inside vm": 19,
    "virtual subnet id does not match": 20,
    "required vswitch extension is missing": 21,
    "first nb too small": 28,
    "storm limit exceeded": 30,
    "destination nic is disabled": 33,
    "packet does not match destination nic packet filter": 34,
    "vswitch data flow is disabled": 35,
    "port isolation setting does not allow untagged traffic": 36,
    "inet: checksum is invalid": 1203,
}
"""English texts of pktmon that are not made of the name (Microsoft's NetMon parser for pktmon; published output)."""


def reason_text(number: int) -> str:
    """A reason in words and as its number: "INET: checksum invalid (1203)"."""
    if number == NOT_SAID:
        return "reason not said"
    name = DROP_REASONS.get(number)
    if name is None:
        return f"reason {number}"
    *family, rest = name.split("_")
    words = " ".join(w.upper() if w.lower() in SHORT or (w.isupper() and len(w) > 1) else w.lower() for w in re.findall(WORDS, rest))
    return f"{''.join(f + ': ' for f in family)}{words} ({number})"


def reason_number(text: str) -> int:
    """The number of a reason that is given as number, name or pktmon's text; NOT_SAID for what is none of them."""
    plain = text.strip()
    if plain.isascii() and plain.isdecimal() and len(plain) <= 9:
        return int(plain)
    if plain.lower() in PRINTED:
        return PRINTED[plain.lower()]
    name = re.sub(r"^(PktMonDrop|Drop)_", "", plain, flags=re.IGNORECASE)
    return NUMBERS.get(re.sub(r"[: ]+", "_", name).lower(), NUMBERS.get(re.sub(r"\W+", "", name).lower(), NOT_SAID))
