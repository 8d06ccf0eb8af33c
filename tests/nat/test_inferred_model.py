"""The model made of findings explains the captures they come from, and what was not found is left free and named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pcapnat import analyze
from pcapnat.nat import modelled
from pcapnat.nat.behavior import Hairpin, MssClamp, PortChoice, PortRange
from pcapnat.replay import replay
from pcapnat.report import analysis_json
from pcapnat.terms import Point

CAPTURES = Path(__file__).parents[2] / "captures"
NATS = ("demo", "linux-masquerade", "linux-masquerade-ipv6", "linux-port-collisions", "linux-port-forward", "linux-hairpin", "linux-netmap",
        "linux-nat64", "linux-icmp-errors", "linux-tuple-reuse", "linux-ftp-alg", "linux-dns-failure", "linux-snat-port-range",
        "linux-mangle")  # fmt: skip


def points(scenario: str) -> list[Point]:
    return [Point(n, (str(CAPTURES / scenario / f"{n}.pcap"),)) for n in ("inside", "outside")]


@pytest.mark.parametrize("scenario", NATS)
def test_every_frame_is_explained(scenario: str) -> None:
    analysis = analyze(points(scenario))
    replay = analysis.boxes[0].replay
    assert replay is not None
    assert replay.frames > 30
    assert (replay.explained, replay.causes) == (replay.frames, [])
    told = json.loads(analysis_json(analysis))["boxes"][0]["replay"]
    assert (told["frames"], told["explained"], told["differences"]) == (replay.frames, replay.frames, [])
    assert set(told["left_free"]) <= set(json.loads(analysis_json(analysis))["boxes"][0]["behavior"])


def test_what_is_known_is_in_the_model() -> None:
    box = analyze(points("linux-hairpin")).boxes[0]
    model = modelled(box.behavior, box.translations, 0)
    assert (model.behavior.hairpin, model.behavior.router) == (Hairpin.ROUTER_SOURCE, "192.168.1.1")
    full = analyze(points("demo")).boxes[0]
    assert modelled(full.behavior, full.translations, 0).behavior.port_ranges == (PortRange(40000, 40009),)
    kept = analyze(points("linux-masquerade")).boxes[0]
    model = modelled(kept.behavior, kept.translations, 0)
    assert model.behavior.port_choice is PortChoice.PRESERVE_ELSE_RANDOM
    assert model.behavior.keeps_any_port
    assert "tcp_idle_s" in model.assumed
    range_only = analyze(points("linux-snat-port-range")).boxes[0]
    model = modelled(range_only.behavior, range_only.translations, 0)
    assert (model.behavior.port_choice, model.behavior.keeps_any_port) == (PortChoice.PRESERVE_ELSE_RANDOM, False)
    assert 30000 <= model.behavior.port_ranges[0].low < model.behavior.port_ranges[0].high <= 45999
    mangled = analyze(points("linux-mangle")).boxes[0]
    assert mangled.behavior.findings()["fields_changed"].value["ip.dsfield"]
    model = modelled(mangled.behavior, mangled.translations, 0)
    assert model.behavior.mss == (MssClamp(1300, "outside", 4),)
    assert (model.behavior.ttl_step, model.behavior.ttl_step_inbound) == (0, 1)
    six = analyze(points("linux-nat64")).boxes[0]
    assert modelled(six.behavior, six.translations, 0).behavior.nat64.endswith("/96")


def test_a_proxy_and_a_wire() -> None:
    assert analyze([Point(n, (str(CAPTURES / "demo" / "inside.pcap"),)) for n in ("a", "b")]).boxes[0].replay is None


def test_a_segment_size_that_is_not_lowered_differs() -> None:
    """The model without the clamp, and one that lowers further, are told by the SYNs."""
    box = analyze(points("linux-mangle")).boxes[0]
    right = modelled(box.behavior, box.translations, 0).behavior
    for wrong in ((), (MssClamp(1200, "outside"),)):
        found = replay(box.crossing, replace(right, mss=wrong))
        assert [cause.field for cause in found.causes] == ["mss"]
        assert found.causes[0].count == found.frames - found.explained >= 10
    assert replay(box.crossing, replace(right, mss=(MssClamp(0, "outside"),))).causes == []
    once = replay(box.crossing, replace(right, ttl_step=1, ttl_step_inbound=1))
    assert {cause.field for cause in once.causes} == {"ttl"}
