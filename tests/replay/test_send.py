"""`replay --send`: a real NAT, made of namespaces and nft by this test, takes the frames, and the model explains what it did."""

from __future__ import annotations

import ctypes
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from packet_script import Frame, script, write

from pcapnat.cli import cli
from pcapnat.replay.send import neighbour
from pcapnat.terms import PcapnatError

LAN, WAN, BEYOND = "02:00:00:00:01:01", "02:00:00:00:02:01", "02:00:00:00:02:02"
TRAFFIC = (
    "A udp one x20 | C udp two x20 | A>D udp three x20 | A ping 7 1 x8 | C ping 7 1 x9 | A S 100 | C S 200 | A S 100 | A>D S 900"
    " | A udp four x20 | C udp five x20 | A:53>D:53 udp six x20 | C:53>D:53 udp seven x20 | A . 101 501 | C P 201 501 x40 | A ping 7 2 x10"
)
"""Two hosts with one source port towards one server, by UDP and TCP; like echo identifiers; a SYN sent again; segments of no session."""
RULES = "table ip t {\n chain post {\n type nat hook postrouting priority srcnat;\n oifname \"wan\" masquerade\n }\n}\n"


def run(*command: str, **more: Any) -> str:
    """A program's output; its complaint is the test's."""
    ran = subprocess.run(command, capture_output=True, text=True, timeout=30, **more)
    assert ran.returncode == 0, f"{' '.join(command)}: {ran.stderr}"
    return ran.stdout


def able() -> str:
    """Why no NAT can be made here, nothing if it can."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return "network namespaces need root on Linux"
    missing = [name for name in ("ip", "nft") if not shutil.which(name)]
    return f"{' and '.join(missing)} missing" if missing else ""


@pytest.fixture
def lab() -> Iterator[dict[str, str]]:
    """Namespaces client - nat - beyond, a veth pair between each, masquerade on the nat's wan."""
    names = {role: f"pcapnat-{os.getpid()}-{role}" for role in ("client", "nat", "beyond")}
    made = []
    try:
        for name in names.values():
            run("ip", "netns", "add", name)
            made.append(name)
            run("ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
        client, nat, beyond = names.values()
        run("ip", "link", "add", "lan", "netns", nat, "address", LAN, "type", "veth", "peer", "name", "eth0", "netns", client)
        run("ip", "link", "add", "wan", "netns", nat, "address", WAN, "type", "veth", "peer", "name", "far", "netns", beyond)
        run("ip", "-n", beyond, "link", "set", "far", "address", BEYOND, "up")
        run("ip", "-n", client, "link", "set", "eth0", "up")
        for interface, address in (("lan", "192.168.1.1/24"), ("wan", "203.0.113.7/24")):
            run("ip", "-n", nat, "addr", "add", address, "dev", interface)
            run("ip", "-n", nat, "link", "set", interface, "up")
        run("ip", "-n", nat, "neigh", "add", "203.0.113.1", "lladdr", BEYOND, "dev", "wan", "nud", "permanent")
        run("ip", "-n", nat, "route", "add", "default", "via", "203.0.113.1")
        run("ip", "netns", "exec", nat, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0")
        run("ip", "netns", "exec", nat, "nft", "-f", "-", input=RULES)
        yield names
    finally:
        for name in made:
            subprocess.run(["ip", "netns", "del", name], timeout=30, check=False)


def listening(namespace: str, interface: str) -> socket.socket:
    """A packet socket in a namespace: made by a thread that has gone there, it stays there."""
    found: list[socket.socket] = []

    def make() -> None:
        with open(f"/run/netns/{namespace}", "rb") as there:
            assert ctypes.CDLL(None, use_errno=True).setns(there.fileno(), 0x40000000) == 0
        one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        one.bind((interface, 0x0800))
        found.append(one)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    return found[0]


def heard(one: socket.socket, count: int) -> list[Frame]:
    """So many frames, or those that come within five seconds; then those that are there already."""
    frames: list[Frame] = []
    end = time.monotonic() + 5
    while select.select([one], [], [], max(0, end - time.monotonic()) if len(frames) < count else 0)[0]:
        frames.append(Frame(time.time_ns(), one.recv(65535)))
    return frames


def up(namespace: str, interface: str) -> bool:
    """Whether a link is ready."""
    return '"operstate":"UP"' in run("ip", "-j", "-n", namespace, "link", "show", interface)


@pytest.mark.skipif(bool(able()), reason=able())
def test_a_real_nat_does_what_the_model_says(lab: dict[str, str], tmp_path: Path) -> None:
    """Replay, capture, diff: nothing unexplained. No answers come, so all is decided by what goes out."""
    inside = write(tmp_path / "inside.pcap", script(TRAFFIC))
    end = time.monotonic() + 5
    while not (up(lab["client"], "eth0") and up(lab["nat"], "wan")):
        assert time.monotonic() < end
    with listening(lab["beyond"], "far") as far:
        command = ["ip", "netns", "exec", lab["client"], sys.executable, "-m", "pcapnat", "replay", inside, "--send", "eth0"]
        said = json.loads(run(*command, "--send-to", LAN, "--yes", "--format", "json", cwd=Path(__file__).parents[2]))
        frames = heard(far, TRAFFIC.count("|") + 1)
    assert said["sent"]["frames"] == TRAFFIC.count("|") + 1
    assert said["sent"]["lasted_ns"] >= 15_000_000 - 1_000_000  # a frame each millisecond, as captured
    assert said["sent"]["left_out"] == []
    outside = write(tmp_path / "outside.pcap", frames)
    ran = CliRunner().invoke(cli, ["diff", inside, outside, "--through", "linux-masquerade", "--format", "json"], catch_exceptions=False)
    d = json.loads(ran.output)
    assert d["causes"] == []
    assert d["explained"] == d["frames"] == TRAFFIC.count("|") + 1
    found = json.loads(CliRunner().invoke(cli, ["analyze", inside, outside, "--format", "json"]).output)["boxes"][0]
    assert found["kind"]["value"] == "nat"
    changed = [m for m in found["mappings"] if m["inside"]["port"] != m["outside"]["port"]]
    assert len(changed) >= 3  # the second host's UDP, TCP and echo


def test_nothing_is_sent_without_a_yes(tmp_path: Path) -> None:
    """Not on a terminal, not without --yes; and what is asked says how much, to whom and for how long."""
    inside = write(tmp_path / "in.pcap", script("A S 100 | A udp one"))
    ran = CliRunner().invoke(cli, ["replay", inside, "--send", "lo", "--send-to", LAN])
    assert isinstance(ran.exception, PcapnatError)
    if "needs root" not in str(ran.exception) and "Linux only" not in str(ran.exception):
        assert str(ran.exception) == f"nothing is sent without a yes: --yes would send 2 frames to {LAN} on lo, for 0.001 s"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--send", "no-such0", "--send-to", LAN, "--yes"], "no-such0: "),
        (["--send", "lo", "--send-to", "here", "--yes"], "here: no MAC address"),
        (["--send", "no-such0", "--yes"], "no neighbour is known"),
        (["--send", "lo", "--write", "x.pcapng"], "for a model alone"),
        (["--yes", "--through", "pf"], "are for --send"),
        ([], "needs --through MODEL"),
    ],
)
def test_what_cannot_be_sent_is_one_line(arguments: list[str], says: str, tmp_path: Path) -> None:
    inside = write(tmp_path / "in.pcap", script("A S 100"))
    ran = CliRunner().invoke(cli, ["replay", inside, *arguments])
    assert isinstance(ran.exception, PcapnatError)
    assert says in str(ran.exception)
    assert "\n" not in str(ran.exception)


def test_other_systems_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_PACKET", raising=False)
    ran = CliRunner().invoke(cli, ["replay", write(tmp_path / "in.pcap", script("A S 100")), "--send", "lo", "--yes"])
    assert "on Linux only" in str(ran.exception)


def test_the_gateways_address(tmp_path: Path) -> None:
    """From the system's tables; several neighbours and no gateway are not guessed among."""
    head = "IP address       HW type     Flags       HW address            Mask     Device\n"
    (tmp_path / "arp").write_text(
        head + f"192.168.1.1 0x1 0x2 {LAN} * eth0\n192.168.1.9 0x1 0x2 {WAN} * eth0\n192.168.1.8 0x1 0x0 00:00:00:00:00:00 * eth0\n"
    )
    (tmp_path / "route").write_text("Iface Destination Gateway Flags\neth0 00000000 0101A8C0 0003\neth0 0001A8C0 00000000 0001\n")
    assert neighbour("eth0", tmp_path).hex(":") == LAN
    (tmp_path / "route").write_text("Iface Destination Gateway Flags\n")
    with pytest.raises(PcapnatError, match="several neighbours"):
        neighbour("eth0", tmp_path)
    with pytest.raises(PcapnatError, match="no neighbour"):
        neighbour("eth1", tmp_path / "none")
