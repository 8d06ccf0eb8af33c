"""What etl2pcapng and pktmon write into comments, interface names and options, read back."""
from __future__ import annotations

import pytest

from pcapnat.wire.reasons import DROP_REASONS, NOT_SAID, reason_number, reason_text
from pcapnat.wire.windows import Direction, Fact, comment_facts, flags_direction, interface_facts, interface_kind, verdict_drops


@pytest.mark.parametrize(("comment", "facts"), [
    ("PID=4", {"process": 4}),
    ("PID=4 TID=212", {"process": 4, "thread": 212}),
    ("PID=-1 TID=0", {"process": -1, "thread": 0}),
    ("PID=4 TID=60 VlanId=10 SrcPortId=7 SrcNicType=Emulated SrcNicName=Network Adapter SrcPortName=A1B2-C3 DstNicCount=2 "
     "HashValue=00c0ffee",
     {"process": 4, "thread": 60, "vlan": 10, "port": 7, "nic_type": "Emulated", "nic": "Network Adapter", "port_name": "A1B2-C3",
      "destinations": 2, "hash": 0xC0FFEE}),
    ("PID=0 TID=0 VlanId=0 SrcPortId=1 SrcNicType=External SrcNicName= SrcPortName= HashValue=00000000",
     {"process": 0, "thread": 0, "vlan": 0, "port": 1, "nic_type": "External", "nic": "", "port_name": "", "hash": 0}),
    ("PID=8 TID=9 RoutingDomainId={11112222-3333-4444-5555-666677778888} Username=CORP\\eve smith",
     {"process": 8, "thread": 9, "routing_domain": "{11112222-3333-4444-5555-666677778888}", "user": "CORP\\eve smith"}),
    ("PID=4 TID=8 Packet Metadata: ReceiveFlags:0x1, PhyType:802.11ac, CenterCh:5180, NumMPDUsReceived:1, RSSI:-57, DataRate:200",
     {"process": 4, "thread": 8, "receive_flags": 1, "phy": "802.11ac", "channel": 5180, "mpdus": 1, "rssi": -57, "rate": 200}),
    ("PktGroupId 562949953421314, PktNumber 1, Appearance 2, Direction Tx , Type Ethernet , Component 25, Edge 1, Filter 0, "
     "OriginalSize 1514, LoggedSize 128",
     {"packet_id": 562949953421314, "part": 1, "appearance": 2, "direction": "Tx", "packet_type": "Ethernet", "component": 25, "edge": 1,
      "filter": 0, "original_size": 1514, "logged_size": 128}),
    ("Drop: PktGroupId 9, PktNumber 1, Appearance 0, Direction Rx , Type IP , Component 98, Edge 0, Filter 0, "
     "DropReason Spoofed MAC address is not allowed , DropLocation 0xE0004134, OriginalSize 100, LoggedSize 100",
     {"packet_id": 9, "part": 1, "appearance": 0, "direction": "Rx", "packet_type": "IP", "component": 98, "edge": 0, "filter": 0,
      "reason": "Spoofed MAC address is not allowed", "place": 0xE0004134, "original_size": 100, "logged_size": 100, "dropped": 1}),
    ("Drop: PktGroupId 1, PktNumber 1", {"packet_id": 1, "part": 1, "dropped": 1}),
    ("", {}),
    ("a remark of somebody's", {}),
    ("retransmission of frame 7, see RAPID=4", {}),
    ("PID=many TID=", {"process": "many", "thread": ""}),
    ("PID=1 PID=2", {"process": 1}),
])
def test_comments(comment: str, facts: dict[str, Fact]) -> None:
    """Each form there is; names with spaces; what is no number stays text; other people's comments say nothing."""
    assert comment_facts(comment) == facts
    assert comment_facts(comment + "\0") == facts


@pytest.mark.parametrize(("name", "facts"), [
    ("eth:14:0", {"medium": "eth", "index": 14, "vlan": 0}),
    ("wifi:5", {"medium": "wifi", "index": 5}),
    ("mbb:6", {"medium": "mbb", "index": 6}),
    ("vNIC:VMNic:A1B2:C3:9:42", {"medium": "vNIC", "nic_type": "VMNic", "port_name": "A1B2:C3", "index": 9, "vlan": 42}),
    ("Rras:0:{1111}:eve", {"medium": "Rras", "index": 0, "routing_domain": "{1111}", "user": "eve"}),
    ("eth0", {}),
    ("eth:1", {}),
    ("vNIC:x", {}),
    ("", {}),
])
def test_interface_names(name: str, facts: dict[str, Fact]) -> None:
    """The names etl2pcapng makes; Linux's and others' say nothing."""
    assert interface_facts(name) == facts


def test_directions() -> None:
    """pktmon's words and pcapng's bits."""
    assert [d.inbound for d in Direction] == [None, True, False, True, False, True, False]
    assert [flags_direction(f) for f in (0, 1, 2, 3, 0x1C01)] == [0, Direction.RECEIVED, Direction.SENT, 0, Direction.RECEIVED]


@pytest.mark.parametrize(("verdict", "drops"), [
    (b"\2" + (1).to_bytes(8, "little"), True), (b"\2" + (1).to_bytes(8, "big"), True), (b"\2" + (2).to_bytes(8, "little"), False),
    (b"\1" + (1).to_bytes(8, "little"), False), (b"\2\1", False), (b"", False),
])
def test_verdicts(verdict: bytes, drops: bool) -> None:
    """XDP_DROP is a drop; XDP_PASS, other kinds and what is cut are not."""
    assert verdict_drops(verdict) == drops


def test_drop_reasons() -> None:
    """Numbers at both ends of each range, as Microsoft publishes them."""
    known = {0: "Unknown", 16: "MacSpoofing", 38: "LowPower", 201: "Pause", 223: "CoalescingError", 225: "VlanSpoofing",
             228: "SteeringMismatch", 401: "MicroportError", 404: "VMBusError", 601: "FL_LoopbackPacket", 615: "FL_FlsNpiClientDrop",
             701: "ArpGuard", 719: "NicSuspended", 901: "NL_BadSourceAddress", 914: "NL_HopLimitExceeded", 931: "NL_SessionStateFailure",
             1200: "INET_SourceUnspecified", 1213: "INET_PawsFailed", 1230: "INET_SynAttack", 1232: "INET_AcceptRedirection",
             1002: "NL_SwUsoFailure", 950: "NL_InterfaceDisabled", 951: "NL_IcmpGeneric", 991: "NL_IcmpNotLocallyDestined",
             997: "NL_IpsnpiUroSegmentSizeExceedsMtu", 1401: "Ipsec_BadSpi", 1418: "Ipsec_Unsuccessful",
             1507: "NetCx_BufferBounceFailureAndPacketIgnore", 3000: "Http_InvalidPacket", 3029: "Http_UlErrorVersion",
             3600: "Http_ReceiveSuppressed", 3814: "Http_TimeDifferenceAtDc",
             1301: "SlbMux_ParsingFailure", 1327: "SlbMux_UnableToHandleRedirect"}
    assert {number: DROP_REASONS[number] for number in known} == known
    assert 224 not in DROP_REASONS
    assert not {39, 405, 720, 1233, 1328} & DROP_REASONS.keys()


@pytest.mark.parametrize(("number", "text"), [
    (0, "unknown (0)"), (9, "filtered VLAN (9)"), (16, "MAC spoofing (16)"), (23, "MTU mismatch (23)"), (37, "invalid PD queue (37)"),
    (707, "ipv4 guard (707)"), (902, "NL: not locally destined (902)"), (1203, "INET: checksum invalid (1203)"),
    (1321, "SlbMux: packet destination IP and port not subject to NAT (1321)"), (1410, "Ipsec: Dosp: block (1410)"),
    (224, "reason 224"), (4_000_000_000, "reason 4000000000"), (NOT_SAID, "reason not said"),
])
def test_reasons_in_words(number: int, text: str) -> None:
    """Made of the published names; of an unknown one the number."""
    assert reason_text(number) == text


@pytest.mark.parametrize(("text", "number"), [
    ("16", 16), ("MacSpoofing", 16), ("PktMonDrop_MacSpoofing", 16), ("Drop_INET_ChecksumInvalid", 1203), ("INET: ChecksumInvalid", 1203),
    ("Spoofed MAC address is not allowed", 16), ("Filtered VLAN", 9), (" MTU mismatch ", 23), ("INET: checksum is invalid", 1203),
    ("nonsense", NOT_SAID), ("", NOT_SAID), ("9" * 30, NOT_SAID), ("-1", NOT_SAID), ("\u0663", NOT_SAID),
])
def test_reasons_from_words(text: str, number: int) -> None:
    """Numbers, names, and what pktmon prints in English."""
    assert reason_number(text) == number


def test_every_reason_is_found_by_its_name() -> None:
    assert {reason_number(name) for name in DROP_REASONS.values()} == DROP_REASONS.keys()


@pytest.mark.parametrize(("name", "description", "kind"), [
    ("eth:14:0", "", "miniport"), ("eth:17:0", "LWF over IfIndex 14", "filter"), ("eth:17:0 over 14", "", "filter"),
    ("wifi:5", "", "miniport"), ("mbb:6", "", "miniport"), ("Rras:0:{1}:eve", "", "VPN"),
    ("vNIC:Synthetic:A1:9:42", "", "vNIC"), ("vNIC:NdisSwitchNicTypeExternal:A1:9:0", "", "uplink"),
    ("vNIC:Internal:vs:9:0", "", "host NIC"),
    ("vNIC::x:1:2", "", "vNIC"), ("tcpip.sys", "TCP/IPv4 - L3/L4", "IP"), ("tcpip.sys", "TCPIP6", "protocol"),
    ("WFPLWFS.SYS", "WFP 802.3 MAC Layer LightWeight Filter", "filter"), ("Netwtw14.sys", "Intel(R) Wi-Fi", None),
    ("eth0", "", None), ("", "", None),
])
def test_kinds_of_interfaces(name: str, description: str, kind: str | None) -> None:
    """From what etl2pcapng writes; what does not tell is not guessed."""
    assert interface_kind(name, description) == kind
