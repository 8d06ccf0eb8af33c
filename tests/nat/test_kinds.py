"""What kind of box it is, where it translates nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from packet_script import Frame, ethernet, ip, read, write

from pcapnat import analyze
from pcapnat.terms import Point

INSIDE = Path(__file__).parents[2] / "captures" / "linux-masquerade" / "inside.pcap"


def wrapped(frame: Frame, proto: int) -> Frame:
    """An IPv4 frame in IP (4) or GRE (47)."""
    if frame.data[12:14] != b"\x08\0":
        return frame
    inner = frame.data[14:]
    return frame._replace(data=ethernet(ip("192.0.2.1", "192.0.2.2", proto, inner if proto == 4 else b"\0\0\x08\0" + inner)), wire=0)


@pytest.mark.parametrize("proto", [4, 47])
def test_a_tunnel(proto: int, tmp_path: Path) -> None:
    frames = [f for f in read(INSIDE) if not f.wire or f.wire == len(f.data)]
    later = [f._replace(time_ns=f.time_ns + 200_000) for f in frames]
    points = [Point("lan", (write(tmp_path / "lan.pcap", frames),)),
              Point("wan", (write(tmp_path / "wan.pcap", [wrapped(f, proto) for f in later]),))]  # fmt: skip
    box = analyze(points).boxes[0]
    assert box.kind.value == "tunnel"
    assert box.kind.support == len(box.crossing.frames)
    assert set(box.translations.kind.tolist()) == {0}
    assert box.replay is None
    back = analyze(points[::-1]).boxes[0]
    assert back.kind.value == "tunnel"
    assert analyze([points[0], Point("copy", points[0].files)]).boxes[0].kind.value == "switch"
