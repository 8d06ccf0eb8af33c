"""`replay --write`: the expected capture is a pcapng that Wireshark finds no fault with, and that the model explains whole."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from packet_script import script, write

from pcapnat.cli import cli
from pcapnat.terms import PcapnatError
from pcapnat.wire import Capture, Flag, State, batches, checksums, single

CAPTURES = Path(__file__).parents[2] / "captures"
NAT64 = 'base = "linux-masquerade"\nnat64 = "2001:db8:64::/96"\nttl_step = 3\naddresses = ["203.0.113.10"]\n'
THROUGH = {
    "demo": "linux-masquerade:ports=40000-40009,keeps_any_port=false",
    "linux-icmp-errors": "linux-masquerade",
    "linux-masquerade-ipv6": "linux-masquerade",
    "linux-port-collisions": "linux-random",
    "linux-port-forward": "winnat",
    "linux-hairpin": "linux-masquerade",
    "linux-ftp-alg": "pf",
    "linux-nat64": NAT64,
}


def told(*args: str) -> Any:
    """The JSON a command prints."""
    ran = CliRunner().invoke(cli, [*args, "--format", "json"], catch_exceptions=False)
    assert ran.exit_code == 0
    return json.loads(ran.output)


def made(tmp_path: Path, inside: str, through: str) -> tuple[str, str, Any]:
    """The expected capture of a model, the model as an argument, and what replay says."""
    if "\n" in through:
        (tmp_path / "model.toml").write_text(through)
        through = str(tmp_path / "model.toml")
    out = str(tmp_path / "expected.pcapng")
    return out, through, told("replay", inside, "--through", through, "--write", out)


@pytest.mark.parametrize("folder", THROUGH)
def test_the_model_explains_what_it_wrote(folder: str, tmp_path: Path) -> None:
    """Without remainder; and analysis finds in it every session that the model made."""
    inside = str(CAPTURES / folder / "inside.pcap")
    out, through, said = made(tmp_path, inside, THROUGH[folder])
    assert said["written"]["inside"] == said["point"]["frames"]
    assert said["written"]["outside"] > 30
    d = told("diff", inside, out + "@outside", "--through", through)
    assert (d["explained"], d["causes"]) == (d["frames"], [])
    found = told("analyze", inside, out + "@outside")["boxes"][0]
    rows = {
        (t["proto"], *t["inside"][end].values(), *t["outside"][end].values()) for t in found["translations"] for end in ("src", "dst")
    }
    names = [(s["proto"], *s["inside"].values(), *s["outside"].values()) for s in said["sessions"]]
    assert len([name for name in names if name in rows]) >= 0.9 * len(names)
    assert not [s for s in said["sessions"] if s["outside"]["address"] == s["inside"]["address"]]


@pytest.mark.parametrize("folder", THROUGH)
def test_every_checksum_outside_is_right(folder: str, tmp_path: Path) -> None:
    """By our own reader: what is whole is right, what the frame cut off is not told."""
    out, _, _ = made(tmp_path, str(CAPTURES / folder / "inside.pcap"), THROUGH[folder])
    capture, right = Capture(out), 0
    for batch in batches(capture):
        for k in range(batch.count):
            if batch.chunk.frames.interface[k] != 1:
                continue
            frame = single(capture, batch.chunk, k, k + 1)
            assert frame.said
            assert frame.said[0][1].isprintable()
            for found in checksums(frame):
                assert found.state in (State.RIGHT, State.UNKNOWN) or "sender made none" in found.says
                right += found.state is State.RIGHT
    assert right > 30
    assert [i.name for i in capture.interfaces] == ["inside", "outside"]
    assert not capture.problems


BAD = " || ".join(f"{proto}.checksum.status == 0" for proto in ("ip", "tcp", "udp", "icmp", "icmpv6"))


@pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")
@pytest.mark.parametrize("folder", ["linux-icmp-errors", "linux-nat64", "linux-port-collisions", "linux-masquerade-ipv6"])
def test_wireshark_has_no_complaint(folder: str, tmp_path: Path) -> None:
    out, _, said = made(tmp_path, str(CAPTURES / folder / "inside.pcap"), THROUGH[folder])
    checks = [word for proto in ("ip", "tcp", "udp") for word in ("-o", f"{proto}.check_checksum:TRUE")]
    fields = ["-T", "fields", "-e", "frame.number"]
    ask = f"frame.interface_name == outside && ({BAD} || _ws.malformed)"
    ran = subprocess.run(["tshark", "-r", out, *checks, *fields, "-Y", ask], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == ""
    ran = subprocess.run(["tshark", "-r", out, *fields, "-Y", "frame.comment"], capture_output=True, text=True, timeout=60, check=True)
    assert len(ran.stdout.split()) >= said["written"]["outside"]


def test_who_is_inside_is_told_without_private_addresses(tmp_path: Path) -> None:
    """By who opens conversations and whose TTLs are whole: here both ends have public addresses, and one link no other."""
    words = "X S 100 | Y SA 500 101 t57 | X . 101 501 | X udp hello | Y udp there t57"
    d = told("replay", write(tmp_path / "in.pcap", script(words)), "--through", "rfc4787")
    assert (d["frames"], d["answers"]["let_in"]) == (3, 2)
    assert "2001:db8::10" in d["notes"][0]
    assert "who opens conversations" in d["notes"][0]


def test_what_the_model_drops_says_why(tmp_path: Path) -> None:
    out, _, said = made(tmp_path, str(CAPTURES / "demo" / "inside.pcap"), THROUGH["demo"])
    capture, notes = Capture(out), []
    for batch in batches(capture):
        for k in range(batch.count):
            notes += [t for _, t in single(capture, batch.chunk, k, k + 1).said if "the model drops it" in t]
    assert len(notes) == said["verdicts"]["dropped"] > 10
    assert set(notes) == {"the model drops it: no outside port is free that the behavior allows"}


def test_an_answer_goes_to_where_its_conversation_left_from_last(tmp_path: Path) -> None:
    """A pause longer than the model's time: another port from then on, and the answers come to that one."""
    words = "A udp one x20 | B udp two x20 t60 | +90000 A udp three x20 | B udp four x20 t60"
    inside = write(tmp_path / "in.pcap", script(words))
    out, through, said = made(tmp_path, inside, "rfc4787:port_choice=sequential,udp_idle=30")
    assert len({s["outside"]["port"] for s in said["sessions"]}) == len(said["sessions"]) == 2
    assert said["answers"] == {"frames": 2, "let_in": 2, "dropped": []}
    assert told("diff", inside, out + "@outside", "--through", through)["share"] == 1


def test_a_forwarded_port_of_the_model(tmp_path: Path) -> None:
    """What came unasked to a host inside came to the outside endpoint that the model forwards."""
    inside = write(tmp_path / "in.pcap", script("B:999>A:80 S 100 t60 | A:80>B:999 SA 500 101 | B:999>A:80 . 101 501 t60"))
    model = (
        'base = "linux-masquerade"\naddresses = ["203.0.113.7"]\n'
        '[[static]]\noutside = "203.0.113.7:8080"\ninside = "192.168.1.10:80"\nproto = "tcp"\n'
    )
    out, _, said = made(tmp_path, inside, model)
    assert said["answers"] == {"frames": 2, "let_in": 2, "dropped": []}
    row = told("conversations", out)["conversations"]
    assert {(c["b"]["address"], c["b"]["port"]) for c in row} == {("192.168.1.10", 80), ("203.0.113.7", 8080)}
    # Without it the port is taken from the capture itself.
    said = told("replay", inside, "--through", "linux-masquerade")
    assert any("forwarded ports: tcp 80 is taken" in note for note in said["notes"])


def test_what_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    inside = tmp_path / "in.pcap"
    write(inside, script("A S 100"))
    for point, out, says in (
        (str(inside), str(inside), "is the capture that is read"),
        (str(inside), str(tmp_path / "no" / "where.pcapng"), "no such file"),
    ):
        ran = CliRunner().invoke(cli, ["replay", point, "--through", "pf", "--write", out])
        assert isinstance(ran.exception, PcapnatError)
        assert says in str(ran.exception)
    assert inside.stat().st_size > 40


def test_tunnels_are_counted_not_written(tmp_path: Path) -> None:
    """A packet in another one: Flag.TUNNEL and a row of Outer."""
    from packet_script import Frame, ethernet, ip, packet

    frames = [Frame(1, ethernet(ip("192.168.1.10", "198.51.100.80", 4, packet("A>D S 1"))))]
    _, _, said = made(tmp_path, write(tmp_path / "in.pcap", frames), "pf")
    assert said["written"]["outside"] == 0
    assert "tunnel" in said["written"]["left_out"][0]["why"]
    assert Flag.TUNNEL


def test_a_capture_from_outside(tmp_path: Path) -> None:
    """Recognised by the model's address, or told: answers and forwarded ports get in, the rest does not."""
    words = "N:40000>B S 100 t63 | B>N:40000 SA 500 101 | D>N:81 S 7 | D>N:8080 S 9 | B>N:40000 P 501 101 x5 | +400000 B>N:7 udp late"
    outside = write(tmp_path / "out.pcap", script(words))
    model = tmp_path / "model.toml"
    model.write_text(
        'base = "rfc4787"\naddresses = ["203.0.113.7"]\n'
        '[[static]]\noutside = "203.0.113.7:8080"\ninside = "192.168.1.10:80"\nproto = "tcp"\n'
    )
    d = told("replay", outside, "--through", str(model))
    assert (d["from_side"], d["frames"]) == ("outside", 1)
    assert d["answers"] == {"frames": 5, "let_in": 3, "dropped": [{"reason": "no mapping has this outside endpoint", "frames": 2}]}
    d = told("replay", outside, "--through", "rfc4787:addresses=203.0.113.7", "--from-side", "outside")
    assert d["answers"]["let_in"] == 2
    ran = CliRunner().invoke(cli, ["replay", outside, "--through", str(model), "--write", str(tmp_path / "no.pcapng")])
    assert "does not tell who is inside" in str(ran.exception)
    assert "5 frames from outside" in CliRunner().invoke(cli, ["replay", outside, "--through", str(model)]).output


@pytest.mark.parametrize("folder", ["linux-masquerade", "linux-icmp-errors", "linux-masquerade-ipv6"])
def test_everything_a_real_nat_let_in(folder: str) -> None:
    """From its outside capture alone."""
    d = told("replay", str(CAPTURES / folder / "outside.pcap"), "--through", "linux-masquerade", "--from-side", "outside")
    assert d["answers"]["frames"] > 20
    assert d["answers"]["let_in"] >= 0.95 * d["answers"]["frames"]


def test_captures_that_hold_nothing_to_play(tmp_path: Path) -> None:
    """No frame, and no IP in any frame: nothing leaves, and that is said."""
    from packet_script import Frame

    arp = bytes.fromhex("ffffffffffff020000000001080600010800060400010200000000010a0000010000000000000a000002")
    for name, frames in (("none", []), ("arp", [Frame(1, arp)])):
        out, _, said = made(tmp_path, write(tmp_path / f"{name}.pcap", frames), "linux-masquerade")
        assert (said["frames"], said["written"]["outside"]) == (0, 0)
        assert "nobody was found to be inside" in said["notes"][0]
        assert told("info", out)["frames"] == len(frames)


def test_names_that_are_no_text(tmp_path: Path) -> None:
    """A point's name goes into comments: bytes that are no UTF-8 among them."""
    inside = write(tmp_path / "in.pcap", script("A S 100"))
    for name in ("\udcff", "x" * 150):
        out = str(tmp_path / "expected.pcapng")
        ran = CliRunner().invoke(cli, ["replay", f"{name}={inside}", "--through", "pf", "--write", out], catch_exceptions=False)
        assert ran.exit_code == 0
        assert told("info", out)["frames"] == 2
