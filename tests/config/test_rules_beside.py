"""Rules that change TTLs and segment sizes are not modelled: what they change is no difference, and what they do not is one."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from pcapnat.cli import cli

CAPTURE = Path(__file__).parents[2] / "captures" / "linux-mangle"
MANGLE = """*mangle
:FORWARD ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu
-A POSTROUTING -o wan -j TTL --ttl-set 64
COMMIT
"""
NAT = """*nat
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -o wan -j MASQUERADE
COMMIT
"""


def diff(tmp_path: Path, rules: str) -> str:
    """What `pcapnat diff` prints."""
    file = tmp_path / "saved.rules"
    file.write_text(rules)
    points = [str(CAPTURE / f"{side}.pcap") for side in ("inside", "outside")]
    return CliRunner().invoke(cli, ["diff", *points, "--through", str(file)]).output


def test_rules_that_change_them(tmp_path: Path) -> None:
    told = diff(tmp_path, MANGLE + NAT)
    assert "100.00 % explained" in told
    assert "rules change TCP segment sizes" in told
    assert "rules change TTLs" in told


def test_no_such_rules(tmp_path: Path) -> None:
    told = diff(tmp_path, NAT)
    assert "left with another TTL than the model gives it" in told
    sized = diff(tmp_path, MANGLE.replace("-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu\n", "") + NAT)
    assert "left with another TCP segment size than the model gives it" in sized
