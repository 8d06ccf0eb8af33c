"""Windows' captures from file to page: what info lists, how points are chosen, what analyze says of ids and drops."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_windows import PLACES, Snapshot, converted, logged, snapshots
from packet_script import MS, Frame, ethernet, packet
from wire import made_etl

from pcapnat import analyze
from pcapnat.cli import main
from pcapnat.report import analysis_json
from pcapnat.terms import Point

Run = Callable[..., tuple[int, str, str]]
DROPPED = 13
COMPONENTS = ((12, "vmswitch.sys", "web 1", 5), (7, "nic.sys", "Intel(R) X710", 2))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Run a command in this process; gives its status and what it printed."""
    monkeypatch.setenv("PCAPNAT_KERNELS", "plain")

    def do(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pcapnat", *args])
        capsysbinary.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsysbinary.readouterr()
        assert isinstance(left.value.code, int)
        return left.value.code, out.decode(), err.decode()

    return do


@pytest.fixture(params=["pcapng", "etl"])
def trace(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The demo's both sides as two places of one Windows host; every tenth packet outside was dropped there as well."""
    rows, _ = snapshots("demo")
    dropped = [
        replace(s, frame=s.frame._replace(time_ns=s.frame.time_ns + 5_000), dropped=1203 if i % 20 else 16)
        for i, s in enumerate(rows)
        if s.place == 1 and i % 10 == 0
    ]
    rows = sorted([*rows, *dropped], key=lambda s: s.frame.time_ns)
    path = tmp_path / f"trace.{request.param}"
    path.write_bytes(converted(rows) if request.param == "pcapng" else logged(rows, COMPONENTS))
    return str(path)


def test_info_lists_the_places(trace: str, run: Run) -> None:
    """Which interface is what, and what it dropped, in words and for programs."""
    status, out, err = run("info", trace)
    assert (status, err) == (0, "")
    names = PLACES if trace.endswith("pcapng") else ("component 12: vmswitch.sys, web 1", "component 7: nic.sys, Intel(R) X710")
    kinds = ("vNIC", "uplink") if trace.endswith("pcapng") else ("vNIC", "miniport")
    for name, kind in zip(names, kinds, strict=True):
        assert any(name in line and f"  {kind}  " in line for line in out.splitlines())
    why = "reason not said" if trace.endswith("pcapng") else "INET: checksum invalid (1203) 7, MAC spoofing (16) 6"
    assert f"interface 1 ({names[1]}) dropped {DROPPED} frames: {why}" in out
    told = json.loads(run("info", trace, "--format", "json")[1])
    assert [i["kind"] for i in told["interfaces"]] == list(kinds)
    assert sum(d["frames"] for d in told["drops"]) == DROPPED
    assert [(d["interface"], d["reason"]) for d in told["drops"]] == ([(1, None)] if trace.endswith("pcapng") else [(1, 16), (1, 1203)])


@pytest.mark.parametrize(
    "places", [("0", "1"), ("vNIC synthetic", "uplink"), ("web", "intel miniport"), ("component 12", "component 7 edge 1")]
)
def test_points_by_their_names(trace: str, places: tuple[str, str], run: Run) -> None:
    """Words of what a place is called find it, or one line says what there is; ids and drops come as notes, once each."""
    status, out, err = run("analyze", *(f"{name}={trace}@{place}" for name, place in zip(("in", "out"), places, strict=True)))
    of = {"vNIC synthetic": "pcapng", "web": "etl", "component 12": "etl"}.get(places[0], "")
    if of and not trace.endswith(of):
        assert (status, out) == (2, "")
        assert f"{trace}: has no interface '{places[0]}' (it has 0 (" in err
        assert err.count("\n") == 1
        return
    assert (status, err) == (0, "")
    assert "Between in and out: a NAT" in out
    assert "confirm 21 of 21 matched conversations" in out
    assert out.count(f"dropped {DROPPED} frames") == 1


def test_a_place_that_is_not_clear(trace: str, run: Run) -> None:
    """One line with the candidates."""
    word = "vNIC" if trace.endswith("pcapng") else "component"
    status, out, err = run("analyze", f"in={trace}@{word}", f"out={trace}@1")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert f"{trace}: '{word}' can be several interfaces: 0 (" in err


def test_the_document_has_the_ids(trace: str) -> None:
    """By what each row rests on, how the ids check it, and what was dropped where."""
    analysis = analyze([Point("in", (trace,), "0"), Point("out", (trace,), "1")])
    told: Any = json.loads(analysis_json(analysis))
    assert all("packet-id" in row["by"] for row in told["boxes"][0]["translations"])
    ids = told["boxes"][0]["packet_ids"]
    assert (ids["confirmed"], ids["denied"], ids["only"], ids["unlike"], ids["believed"]) == (21, 0, 0, 0, True)
    out = analysis.points[1]
    gone = out.facts.carrier[out.facts.dropped == 1]
    assert len(gone) == DROPPED
    assert (out.packets.interface[gone] == 1).all()
    if trace.endswith("etl"):
        assert sorted(set(out.facts.reason[out.facts.dropped == 1].tolist())) == [16, 1203]


def test_all_places_as_one(trace: str, run: Run) -> None:
    """Without a choice everything is one point, and that is said."""
    _, out, _ = run("analyze", trace)
    assert f"2 interfaces of Windows taken as one point: a packet counts at each of them; `pcapnat info` lists them, {trace}@0" in out


def test_other_captures_say_nothing_of_it(run: Run) -> None:
    """No kinds, no ids, no drops in what has none."""
    told = json.loads(run("demo", "--format", "json")[1])
    assert "packet_ids" not in told["boxes"][0]
    inside = str(Path(__file__).parent.parent / "captures" / "demo" / "inside.pcap")
    assert "kind" not in run("info", inside)[1]
    assert json.loads(run("info", inside, "--format", "json")[1])["drops"] == []


def test_a_capture_cut_to_128_bytes(tmp_path: Path) -> None:
    """pktmon's default: fingerprints cover no more than is there, whatever is in front of it, at the IP layer and on Ethernet."""
    rows = []
    words = [f"A P {1000 + 500 * i} 9 x500" for i in range(20)]
    for i, text in enumerate(words):
        data = ethernet(packet(text))
        for place, frame in enumerate((data, data[14:])):
            time = 1_700_000_000_000_000_000 + i * MS + place * 1000
            rows.append(Snapshot(Frame(time, frame[:128], len(frame)), place, 0))
    events = b"".join(
        made_etl.event(
            made_etl.PKTMON,
            160,
            made_etl.monitored(s.frame.data, component=(1, 2)[s.place], kind=(1, 3)[s.place], original=s.frame.wire),
            made_etl.TICKS + i,
        )
        for i, s in enumerate(rows)
    )
    path = tmp_path / "cut.etl"
    path.write_bytes(made_etl.head() + made_etl.buffer(events))
    box = analyze([Point("nic", (str(path),), "component 1"), Point("ip", (str(path),), "component 2")]).boxes[0]
    keys = [p.packets.key[p.conversation >= 0].tolist() for p in (box.crossing.here, box.crossing.there)]
    assert keys[0] == keys[1]
    assert len(set(keys[0])) == 20


def test_names_from_a_trace_reach_no_terminal_raw(tmp_path: Path, run: Run) -> None:
    """A driver that calls itself an escape sequence."""
    rows, _ = snapshots("demo")
    path = tmp_path / "evil.etl"
    path.write_bytes(logged([replace(s, dropped=5) for s in rows], ((12, "\x1b[2J", "a\nb", 5), (7, "x", "y", 3))))
    here, there = f"{path}@0", f"{path}@1"
    for args in (("info", str(path)), ("analyze", f"{path}@12", there), ("analyze", str(path)), ("analyze", here, there)):
        _, out, err = run(*args)
        assert not {c for c in out + err if ord(c) < 32} - {"\n"}
        assert "\x1b" not in out + err
