"""README tells the truth: its commands exist, its example is what the demo prints, CI calls its test command."""
from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from pcapnat.cli import cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)


def test_every_command_is_described() -> None:
    """The table of commands names each of them, and no other."""
    table = README.split("## Commands")[1].split("##")[0]
    assert set(re.findall(r"^\| `pcapnat (\w+)", table, re.MULTILINE)) == set(cli.commands)


def test_it_opens_with_two_commands_for_each_shell() -> None:
    """One that runs the main job on a bundled capture, one that runs the tests, before anything else."""
    (first, unix), (second, windows) = BLOCKS[:2]
    assert (first, second) == ("sh", "powershell")
    for block in (unix, windows):
        job, tests = block.strip().splitlines()
        assert job.endswith("pcapnat demo")
        assert tests.endswith("-m pytest")
        assert "venv" in job
        assert "venv" in tests


def test_ci_calls_the_test_command() -> None:
    """.ci/run takes the command from README instead of keeping its own."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "grep -m1 -- '-m pytest$' README.md" in script


@pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")
def test_the_frame_is_what_show_prints() -> None:
    """Every line of the example."""
    inside = str(ROOT / "captures" / "demo" / "inside.pcap")
    missing_from(CliRunner().invoke(cli, ["show", inside, "7", "--witness"]).output, "$ pcapnat show")


def test_the_example_is_what_the_demo_prints() -> None:
    """Every line of the example."""
    missing_from(CliRunner().invoke(cli, ["demo"]).output, "$ pcapnat analyze")


def missing_from(printed: str, command: str) -> None:
    """Every line of the example that begins with a command, file names and columns of spaces aside, was printed."""
    example = next(text for _, text in BLOCKS if text.startswith(command))
    said = {" ".join(line.split()) for line in printed.splitlines()}
    said = {re.sub(r"\S+/(inside|outside)\.pcap", r"\1.pcap", line) for line in said}
    lines = [" ".join(line.split()) for line in example.splitlines()[1:]]
    missing = [line for line in lines if line and line != "..." and not line.startswith("---") and line not in said]
    assert not missing
