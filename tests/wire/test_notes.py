"""What comments and verdicts of packets in a pcapng become: the table of facts, for files of Windows' tools only, at a bounded price."""
from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from made_files import enhanced, interface, option, section, stdin

from pcapnat.flow import observe
from pcapnat.kernel import Kernel
from pcapnat.kernel.engine import KERNELS
from pcapnat.terms import Point
from pcapnat.wire import Capture, PacketFacts, batches, notes, pcapng
from pcapnat.wire.notes import drop_lines
from pcapnat.wire.pcapng import frame_options
from pcapnat.wire.reasons import NOT_SAID
from pcapnat.wire.windows import Texts, comment_row, verdict_drops

FRAME = bytes.fromhex("0200000000020200000000010800 4500001d000000004011b6be0a0000010a000002 1000003500090000 78".replace(" ", ""))
SWITCH = "PID=4 TID=60 VlanId=10 SrcPortId=7 SrcNicType=Synthetic SrcNicName=Network Adapter SrcPortName=A1-B2 DstNicCount=2 HashValue={}"
DROP = b"\x02" + struct.pack("<Q", 1)


def file(order: str, *packets: bytes, names: tuple[str, ...] = ("vNIC:Synthetic:A1-B2:9:10", "eth:14:0")) -> bytes:
    """A pcapng with packets that have these options."""
    head = section(order) + b"".join(interface(order, name=name) for name in names)
    return head + b"".join(enhanced(order, i, FRAME, options=options) for i, options in enumerate(packets))


def comment(order: str, text: str | bytes, *more: tuple[int, bytes]) -> bytes:
    """Options of a packet: a comment, others."""
    value = text.encode() if isinstance(text, str) else text
    return option(order, 1, value) + b"".join(option(order, code, v) for code, v in more) + option(order, 0, b"")


class Read:
    """All facts of a file, as rows by frame, and the capture."""

    def __init__(self, data: bytes, rows: int = 1000, step: int = 1 << 30):
        self.facts: dict[int, dict[str, int]] = {}
        self.ids: list[int] = []
        with stdin(data, step) as path:
            self.capture = Capture(path, rows)
            first = 0
            for batch in batches(self.capture):
                if batch.facts:
                    for i, row in enumerate(batch.facts.carrier.tolist()):
                        self.facts[first + row] = {n: int(getattr(batch.facts, n)[i]) for n in PacketFacts.columns if n != "carrier"}
                self.ids += batch.packets.packet_id[: batch.count].tolist()
                first += batch.count
        self.said = {row: {n: v for n, v in facts.items() if v} for row, facts in self.facts.items()}


def named(read: Read, row: int, column: str) -> str:
    """The text that a fact refers to."""
    return read.capture.texts[read.facts[row][column]]


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_virtual_switch(order: str, mode: str) -> None:
    """Everything etl2pcapng says; frames that differ in process, thread and flow only are one text."""
    flows = [f"{i * 2654435761 % 2**32:08x}" for i in range(50)]
    texts = [SWITCH.replace("PID=4", f"PID={i}").replace("TID=60", f"TID={7 * i}").format(flow) for i, flow in enumerate(flows)]
    read = Read(file(order, *(comment(order, t, (2, struct.pack(order + "I", 1 + i % 2))) for i, t in enumerate(texts))), step=700)
    assert len(read.facts) == 50
    expected = {"vlan": 10, "port": 7, "destinations": 2, "nic_type": 1, "nic": 2, "port_name": 3}
    assert all(read.said[i] == expected | {"direction": 3 + i % 2} for i in range(50))
    assert [named(read, 9, column) for column in ("nic_type", "nic", "port_name")] == ["Synthetic", "Network Adapter", "A1-B2"]
    assert len(read.capture.remarks._digests) == 2  # that of no comment, and this one
    assert read.capture.problems == []


@pytest.mark.parametrize(("text", "said"), [
    ("PID=4 TID=212", {}),
    ("PID=4", {}),
    ("PID=-1 TID=0", {}),
    ("PID=4 TID=8 Packet Metadata: ReceiveFlags:0x1, PhyType:802.11ac, CenterCh:5180, NumMPDUsReceived:1, RSSI:-57, DataRate:200", {}),
    ("PID=0 TID=0 VlanId=0 SrcPortId=1 SrcNicType=External SrcNicName= SrcPortName= HashValue=00000000", {"port": 1, "nic_type": 1}),
    ("VlanId=7", {"vlan": 7}),
    ("PID=99999999999999999999999999999 TID=1 VlanId=7", {"vlan": 7}),
    ("PID=4 TID=5 VlanId=70000 SrcPortId=-1 DstNicCount=nine SrcNicType=x", {"nic_type": 1}),
    ("PID=4 TID=5 VlanId=1 HashValue=0123456", {"vlan": 1}),
    ("PktGroupId 9, PktNumber 3, Appearance 2, Direction Tx , Type Ethernet , Component 25, Edge 1, Filter 0, OriginalSize 60",
     {"part": 3, "appearance": 2, "direction": 4, "component": 25, "edge": 1}),
    ("Drop: PktGroupId 9, PktNumber 1, Appearance 0, Direction Rx , Component 98, Edge 0, DropReason INET: checksum is invalid , "
     "DropLocation 0xE0004134, OriginalSize 100",
     {"part": 1, "direction": 3, "component": 98, "dropped": 1, "reason": 1203, "place": 0xE0004134}),
    ("Drop: PktGroupId 9, PktNumber 1, Direction Sideways , DropReason of no known kind ,",
     {"part": 1, "dropped": 1, "reason": NOT_SAID}),
    ("somebody's remark", {}),
    ("", {}),
    ("PID=", {}),
    ("\xff\xfe VlanId=3", {"vlan": 3}),
])
@pytest.mark.parametrize("order", ["<", ">"])
def test_comments_become_rows(text: str, said: dict[str, int], order: str, mode: str) -> None:
    """Each form; numbers that do not fit a column, and words where numbers belong, say nothing."""
    read = Read(file(order, comment(order, text), comment(order, "x"), comment(order, text)))
    assert read.said == ({0: said, 2: said} if said else {})
    assert read.ids == ([9, 0, 9] if "PktGroupId" in text else [0, 0, 0])
    why = "INET: checksum invalid (1203)" if said.get("reason") == 1203 else "reason not said"
    assert drop_lines(read.capture) == [f"interface 0 (vNIC:Synthetic:A1-B2:9:10) dropped 2 frames: {why}"] * ("dropped" in said)


@pytest.mark.parametrize(("verdict", "drops"), [
    (DROP, True), (b"\x02" + struct.pack(">Q", 1), True), (b"\x02" + struct.pack("<Q", 2), False), (b"\x01" + struct.pack("<Q", 1), False),
    (b"\x02" + struct.pack("<Q", 1 << 32 | 1), False), (b"\x02\1", False), (b"", False), (DROP + b"x", False),
])
@pytest.mark.parametrize("order", ["<", ">"])
def test_verdicts(verdict: bytes, drops: bool, order: str, mode: str) -> None:
    """A verdict drops a frame in any file, with a comment or without; why is not known then."""
    assert verdict_drops(verdict) is drops
    for names in (("eth0",), ("tcpip.sys",)):
        data = file(order, option(order, 7, verdict), comment(order, "PID=1 TID=2", (7, verdict)), comment(order, "VlanId=3"), names=names)
        read = Read(data)
        gone = {"dropped": 1, "reason": NOT_SAID} if drops else {}
        assert read.said == {row: gone for row in (0, 1) if gone} | {2: {"vlan": 3}}
        assert drop_lines(read.capture) == [f"interface 0 ({names[0]}) dropped 2 frames: reason not said"] * drops


def test_several_comments_and_long_ones() -> None:
    """The first comment that holds more than numbers of processes counts; long ones are read as far as LONGEST."""
    read = Read(file("<", comment("<", "VlanId=1", (1, b"VlanId=2")), comment("<", b"x" * 2000 + b" VlanId=3"),
                     comment("<", b"VlanId=4 SrcNicName=" + b"y" * 60_000), comment("<", "PID=4 TID=5", (1, b"VlanId=6"))))
    assert read.said == {0: {"vlan": 1}, 2: {"vlan": 4, "nic": 1}, 3: {"vlan": 6}}
    assert named(read, 2, "nic") == "y" * 256


def untouched(*_: Any) -> int:
    """Stands in for the kernel where it must not be called."""
    raise AssertionError("read_notes was called")


def test_other_files_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Comments of files that Windows did not make are not looked at."""
    monkeypatch.setattr(notes, "read_notes", untouched)
    read = Read(file("<", *(comment("<", f"remark {i}") for i in range(100)), names=("eth0", "wlan0")))
    assert read.facts == {}
    assert len(read.capture.facts.comments) == 100


def test_the_first_comments_show_it_too() -> None:
    """Interfaces without names: the comments of the first frames tell, those of later ones no longer."""
    plain = [comment("<", "a remark")] * 30
    told = comment("<", SWITCH.format("00000001"))
    assert sorted(Read(file("<", *plain[:5], told, *plain, told, names=("",))).facts) == [5, 36]
    assert Read(file("<", *plain, told, told, names=("",))).facts == {}


def test_interfaces_that_come_late() -> None:
    """A second section of a Windows tool in a file that began as another's."""
    told = comment("<", SWITCH.format("00000001"))
    data = file("<", comment("<", "x"), names=("eth0",)) + file(">", *[comment(">", SWITCH.format("00000002"))] * 2) + file("<", told)
    read = Read(data)
    assert sorted(read.facts) == [1, 2, 3]


def test_a_million_comments_cost_a_bound(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    """Of more different ones than are read the frames are counted, the verdicts still hold, and what was known stays known."""
    monkeypatch.setattr(notes, "MOST_TEXTS", 100)
    packets = [comment("<", f"PID=1 TID=2 VlanId={i % 4000} SrcPortId={i}", *([(7, DROP)] if i % 100 == 0 else [])) for i in range(1000)]
    read = Read(file("<", *packets, packets[1], packets[999]), rows=64)
    assert sorted(read.facts) == [*range(100), *range(100, 1000, 100), 1000]
    assert read.facts[1000]["port"] == 1
    assert sum(facts["dropped"] for facts in read.facts.values()) == 10
    assert read.capture.problems == [f"comments of 901 frames were not read: the file has more than {pcapng.MOST_TEXTS:,} different ones"]


def test_names_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of a hostile file end somewhere; those known before keep their numbers."""
    monkeypatch.setattr("pcapnat.wire.windows.MOST_TEXTS", 10)
    texts = Texts()
    assert [texts.number(f"nic {i}") for i in range(20)] == [*range(1, 10), *[0] * 11]
    assert texts.number("nic 3") == 4
    assert texts.number("") == 0
    assert texts[0] == ""
    assert len(texts[texts.number("n" * 1000)]) == 0


def test_many_reasons_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the kinds that are counted apart the rest have no reason; lines name the most frequent."""
    monkeypatch.setattr(notes, "MOST_KINDS", 6)
    packets = [comment("<", f"Drop: PktGroupId {i}, DropReason {2000 + i} ,") for i in range(9) for _ in range(9 - i)]
    read = Read(file("<", *packets))
    assert sum(read.capture.drops.values()) == 45
    assert drop_lines(read.capture) == ["interface 0 (vNIC:Synthetic:A1-B2:9:10) dropped 45 frames: reason 2000 9, reason 2001 8, "
                                        "reason 2002 7, reason 2003 6, 3 other reasons 15"]


def test_many_interfaces_are_summed_up() -> None:
    """No more lines than anybody reads."""
    head = section("<") + b"".join(interface("<", name=f"nic{i}.sys") for i in range(30))
    read = Read(head + b"".join(enhanced("<", i, FRAME, iface=i, options=option("<", 7, DROP)) for i in range(30)))
    lines = drop_lines(read.capture)
    assert len(lines) == 21
    assert lines[0] == "interface 0 (nic0.sys) dropped 1 frame: reason not said"
    assert lines[20] == "10 more interfaces dropped 10 frames"


words = st.sampled_from(["PID=4", "TID=9", "PID=", "TID=x", "VlanId=10", "VlanId=", "SrcPortId=3", "SrcNicName=a b", "HashValue=00c0ffee",
                         "HashValue=1", " ", "PktGroupId 7,", "Drop:", "DropReason 16 ,", "\xe4", "DstNicCount=2", "remark"])
options = st.lists(st.one_of(
    st.tuples(st.just(1), st.lists(words, max_size=8).map(lambda w: " ".join(w).encode())),
    st.tuples(st.just(7), st.sampled_from([DROP, DROP[:5], b"\x02" + bytes(8), b"\x00abc"])),
    st.tuples(st.sampled_from([2, 4, 5, 6, 8, 99]), st.binary(max_size=12)),
    st.tuples(st.just(1), st.binary(max_size=40)),
), max_size=4)


PASSED_OVER = re.compile(rb"^(PID=[^ ]{0,20}(?: |\Z))?(TID=[^ ]{0,20}(?: |\Z))?| H........=........\Z", re.DOTALL)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(["<", [[(1, b"PID=4 TID=9 VlanId=10 HashValue=00c0ffee")], [(7, DROP)]]])
@given(st.tuples(st.sampled_from("<>"), st.lists(options, max_size=12)).map(list))
def test_as_one_by_one(mode: str, made: Any) -> None:
    """The same as taking each packet's options by themselves, comment by comment; plain and native."""
    order, packets = made
    data = file(order, *(b"".join(option(order, code, value) for code, value in p) for p in packets), names=("a.sys",))
    read = Read(data)
    with stdin(data) as path:
        capture = Capture(path)
        texts = Texts()
        for chunk in capture.chunks():
            for row in range(chunk.count):
                comments = [PASSED_OVER.sub(b"", value) for code, value in frame_options(capture, row) if code == 1]
                apart = next(filter(None, comments), b"")
                known, packet_id = comment_row(apart.decode("utf-8", "replace"), texts)
                said = dict(zip(list(PacketFacts.columns)[1:], known, strict=True))
                if not said["dropped"] and any(code == 7 and verdict_drops(value) for code, value in frame_options(capture, row)):
                    said |= {"dropped": 1, "reason": NOT_SAID}
                mine = dict(read.facts.get(row, dict.fromkeys(said, 0)))
                for column in ("nic_type", "nic", "port_name"):
                    assert read.capture.texts[mine.pop(column)] == texts[said.pop(column)]
                assert {n: v for n, v in mine.items() if n != "direction"} == {n: v for n, v in said.items() if n != "direction"}
                if packet_id and not any(code == 5 and len(value) == 8 for code, value in packets[row]):
                    assert read.ids[row] == packet_id


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60), st.sampled_from("<>"))
def test_any_bytes_for_options(mode: str, noise: bytes, order: str) -> None:
    """Options that end anywhere and claim anything."""
    Read(file(order, noise + bytes(-len(noise) % 4), comment(order, "VlanId=3"), noise[:30] + bytes(-len(noise[:30]) % 4)))


def test_several_files_share_their_names(tmp_path: Path) -> None:
    """A point's facts count rows over all its files, and refer to one list of names."""
    for i, name in enumerate(("b.pcapng", "a.pcapng")):
        other = SWITCH.replace("A1-B2", f"port {i}").format("00000000")
        head = section("<") + interface("<", name="vNIC:S:p:1:0")
        (tmp_path / name).write_bytes(head + b"".join(enhanced("<", i * 1000 + n, FRAME, options=comment("<", other)) for n in range(3)))
    port, _ = observe(Point("p", (str(tmp_path / "a.pcapng"), str(tmp_path / "b.pcapng"))), 64)
    assert port.facts.carrier.tolist() == list(range(6))
    assert [port.texts[n] for n in port.facts.port_name.tolist()] == ["port 0"] * 3 + ["port 1"] * 3
    assert [port.texts[n] for n in port.facts.nic_type.tolist()] == ["Synthetic"] * 6


def test_the_kernel_is_one_of_those_that_are_compiled() -> None:
    assert isinstance(notes.read_notes, Kernel)
    assert notes.read_notes in KERNELS
