"""The command line: what it prints where, with which status, and that what a user does wrong costs one line and no traceback.

Most run in this process, as `main` would run them; what concerns a process's own streams runs as `python -m pcapnat`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from packet_script import Frame, read, script, write
from wire.made_files import enhanced, interface, section, stdin

from pcapnat import __version__
from pcapnat.cli import cli, main, parse_points
from pcapnat.terms import PcapnatError

ROOT = Path(__file__).parent.parent
DEMO = ROOT / "captures" / "demo"
INSIDE, OUTSIDE = str(DEMO / "inside.pcap"), str(DEMO / "outside.pcap")
CROSSED = len(json.loads((DEMO / "expected.json").read_text())["translations"])
COMMANDS = sorted(cli.commands)
WITH_FILE = ("info", "conversations", "sockets", "analyze")


class Ran(NamedTuple):
    """What came of a command."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on standard output, everything else being empty."""
        assert self.status == 0, self.err
        assert self.err == ""
        return json.loads(self.out)

    @property
    def complaint(self) -> str:
        """The one line of a command that could not run."""
        assert self.status == 2
        assert self.out == ""
        assert self.err.startswith("pcapnat: ")
        assert self.err.count("\n") == 1
        assert self.err.endswith("\n")
        assert "Traceback" not in self.err
        return self.err[len("pcapnat: ") : -1]


Run = Callable[..., Ran]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Run a command in this process, kernels plain: what one test makes native would stay so for all that follow."""
    monkeypatch.setenv("PCAPNAT_KERNELS", "plain")

    def do(*args: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["pcapnat", *args])
        capsysbinary.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsysbinary.readouterr()
        assert isinstance(left.value.code, int)
        return Ran(left.value.code, out.decode("utf-8"), err.decode("utf-8"))

    return do


def process(*args: str, python: tuple[str, ...] = (), folder: Path | None = None, data: bytes | None = None, **environ: str) -> Ran:
    """Run a command as a process of its own."""
    done = subprocess.run(
        [sys.executable, *python, "-m", "pcapnat", *args],
        input=data,
        capture_output=True,
        cwd=folder or ROOT,
        timeout=60,
        check=False,
        env={**os.environ, "PCAPNAT_KERNELS": "plain", **environ},
    )
    return Ran(done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8"))


# --- help ---


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_has_an_example(command: str, flag: str, run: Run) -> None:
    ran = run(command, flag)
    assert (ran.status, ran.err) == (0, "")
    assert "Example" in ran.out
    assert f"  pcapnat {command} " in ran.out


def test_help_of_all(run: Run) -> None:
    ran = run("-h")
    assert ran.status == 0
    assert all(f"  {command} " in ran.out for command in COMMANDS)
    assert "pcapnat demo" in ran.out
    assert run() == ran, "without a command: help"
    assert run("--help") == ran
    assert run("--version").out.strip().endswith(__version__)


def test_the_commands() -> None:
    assert set(COMMANDS) >= {"analyze", "conversations", "sockets", "info", "demo"}


@pytest.mark.parametrize("args", [("--help",), ("--version",), ("analyze", "-h"), ("nosuch",), ("info",)])
def test_help_imports_nothing_heavy(args: tuple[str, ...]) -> None:
    ran = process(*args, python=("-X", "importtime"))
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in ran.err.splitlines() if line.startswith("import time:")}
    assert "click" in imported
    assert imported & {"numpy", "numba", "llvmlite", "tabulate", "concurrent"} == set()


# --- what is wrong costs one line ---


def broken(folder: Path) -> dict[str, str]:
    """Files that are no captures, by what is wrong, with what is said."""
    whole = Path(INSIDE).read_bytes()
    made = {
        "empty": (b"", "the file is empty"),
        "text": (b"hello, world\n" * 9, "not a capture file (it looks like text)"),
        "gzip": (b"\x1f\x8b\x08\0" + bytes(40), "gzip"),
        "header": (whole[:20], "cut short: 20 of 24 bytes"),
        "bytes": (bytes(range(128, 200)), "unknown first bytes"),
    }
    said = {}
    for name, (data, words) in made.items():
        (folder / name).write_bytes(data)
        said[str(folder / name)] = words
    (folder / "directory").mkdir()
    return {
        **said,
        str(folder / "directory"): "is a directory",
        str(folder / "missing"): "no such file or directory",
        str(folder / "\x1b[31mred\n"): "no such file or directory",
        str(folder / ("x" * 300)): "file name too long",
    }


@pytest.mark.parametrize("command", WITH_FILE)
def test_files_that_cannot_be_read(command: str, run: Run, tmp_path: Path) -> None:
    for path, words in broken(tmp_path).items():
        for style in ("terminal", "json"):
            said = run(command, path, "--format", style).complaint
            shown = path.replace("\x1b", "\\x1b").replace("\n", "\\x0a")
            assert said.startswith(f"{shown}: ")
            assert words in said


def test_a_second_point_that_cannot_be_read(run: Run, tmp_path: Path) -> None:
    for path, words in broken(tmp_path).items():
        assert words in run("analyze", INSIDE, path).complaint
        assert words in run("analyze", f"in={INSIDE}", f"in={path}").complaint


def test_the_same_as_a_process(tmp_path: Path) -> None:
    path = tmp_path / "text.pcap"
    path.write_text("no capture")
    said = process("analyze", INSIDE, str(path)).complaint
    assert said.startswith(f"{path}: not a capture file")
    assert process("info", str(tmp_path)).complaint == f"{tmp_path}: is a directory"


USAGE = [
    (("nosuch",), "nosuch"),
    (("analyze",), "POINT"),
    (("info",), "FILE"),
    (("info", "a", "b"), "b"),
    (("info", INSIDE, "--format", "xml"), "xml"),
    (("conversations", INSIDE, "--limit", "-1"), "-1"),
    (("conversations", INSIDE, "--limit", "many"), "many"),
    (("info", "--nosuch"), "--nosuch"),
    (("--nosuch",), "--nosuch"),
    (("analyze", "x="), "x=: a point needs a file"),
    (("analyze", "-", "-"), "standard input can be given once only"),
    (("analyze", "x=a@0", "x=b@1"), "the same interface"),
    (("demo", "extra"), "extra"),
    (("info", INSIDE, "--write"), "--write"),
    (("info", INSIDE, "--write", str(ROOT)), "directory"),
    (("info", INSIDE, "--write", "/nosuch/folder/x"), "/nosuch/folder/x: no such file or directory"),
    (("analyze", INSIDE, "--fail-on", "always"), "always"),
    (("analyze", f"{INSIDE}@7"), "has no interface '7'"),
    (("analyze", f"{INSIDE}@lan"), "it has 0"),
    (("analyze", "n" * 300 + "=b@x"), "b: no such file or directory"),
    (("analyze", "n" * 5000), "file name too long"),
    (("replay", INSIDE, "--through", "n" * 5000 + ":x=1"), "file name too long"),
]


@pytest.mark.parametrize(("args", "words"), USAGE, ids=[" ".join(args)[:30] for args, _ in USAGE])
def test_usage_mistakes(args: tuple[str, ...], words: str, run: Run) -> None:
    assert words in run(*args).complaint


# --- damage is told, and what was before it is used ---


def test_a_truncated_capture(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "cut.pcap"
    path.write_bytes(Path(INSIDE).read_bytes()[:-7])
    frames = len(read(INSIDE)) - 1
    told = run("info", str(path), "--format", "json").json
    assert (told["truncated"], told["frames"]) == (True, frames)
    assert "the file ends inside a record" in told["problems"][0]
    told = run("conversations", str(path), "--format", "json").json
    assert "the file ends inside a record" in told["problems"][0]
    told = run("analyze", str(path), OUTSIDE, "--format", "json").json
    assert (told["points"][0]["frames"], len(told["boxes"][0]["translations"])) == (frames, CROSSED)
    assert any(str(path) in note for note in told["notes"])
    for command in WITH_FILE:
        ran = run(command, str(path))
        assert (ran.status, ran.err) == (0, "")
        assert "the file ends inside a record" in ran.out


def test_a_capture_without_frames(run: Run, tmp_path: Path) -> None:
    path = write(tmp_path / "none.pcap", [])
    for command in WITH_FILE:
        ran = run(command, path)
        assert (ran.status, ran.err) == (0, "")
        assert run(command, path, "--format", "json").json
    assert run("analyze", path, OUTSIDE, "--format", "json").json["boxes"][0]["translations"] == []


# --- what is printed where ---


@pytest.mark.parametrize(
    "args", [("info", INSIDE), ("conversations", INSIDE), ("sockets", INSIDE), ("analyze", INSIDE), ("analyze", INSIDE, OUTSIDE), ("demo",)]
)
def test_json_is_one_document_and_nothing_else(args: tuple[str, ...], run: Run, tmp_path: Path) -> None:
    ran = run(*args, "--format", "json")
    assert ran.json["schema"].startswith("pcapnat.")
    assert ran.out.count("\n") == 1
    path = tmp_path / "answer.json"
    assert run(*args, "--format", "json", "--write", str(path)) == Ran(0, "", "")
    assert path.read_text(encoding="utf-8") == ran.out


@pytest.mark.parametrize(
    "args", [("info", INSIDE), ("conversations", INSIDE), ("sockets", INSIDE), ("analyze", INSIDE), ("analyze", INSIDE, OUTSIDE), ("demo",)]
)
def test_the_terminal_page(args: tuple[str, ...], run: Run, tmp_path: Path) -> None:
    ran = run(*args)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.count("\n") > 3
    assert "\x1b" not in ran.out, "no colour where nobody looks"
    path = tmp_path / "page.txt"
    assert run(*args, "--write", str(path)) == Ran(0, "", "")
    assert path.read_text(encoding="utf-8") == ran.out


def test_limit(run: Run) -> None:
    def rows(*args: str) -> int:
        return sum(line.startswith("  tcp") for line in run("conversations", INSIDE, *args).out.splitlines())

    every = run("conversations", INSIDE, "--format", "json").json["conversations"]
    tcp = sum(c["proto"] == "tcp" for c in every)
    assert len(every) > 40
    assert rows("--limit", "0") == tcp
    assert rows() == sum(c["proto"] == "tcp" for c in every[:40])
    assert rows("--limit", "1") == sum(c["proto"] == "tcp" for c in every[:1])
    assert f"... and {len(every) - 40:,} more" in run("conversations", INSIDE).out
    assert "more" not in run("conversations", INSIDE, "--limit", "0").out
    assert len(run("conversations", INSIDE, "--limit", "1", "--format", "json").json["conversations"]) == len(every), "JSON is never cut"


def test_demo(run: Run, tmp_path: Path) -> None:
    told = run("demo", "--format", "json").json
    assert len(told["boxes"][0]["translations"]) == CROSSED
    assert told["boxes"][0]["kind"]["value"] == "nat"
    elsewhere = process("demo", "--limit", "3", folder=tmp_path)
    assert (elsewhere.status, elsewhere.err) == (0, "")
    assert elsewhere.out == run("demo", "--limit", "3").out


# --- points ---


def test_names(run: Run) -> None:
    def names(*args: str) -> list[str]:
        return [point["name"] for point in run("analyze", *args, "--format", "json").json["points"]]

    assert names(INSIDE) == ["capture"]
    assert names(INSIDE, OUTSIDE) == ["inside", "outside"]
    assert names(INSIDE, OUTSIDE, OUTSIDE) == ["point1", "point2", "point3"]
    assert names(f"vm={INSIDE}", f"isp={OUTSIDE}") == ["vm", "isp"]
    assert names(f"a={INSIDE}", f"a={INSIDE}") == ["a"]
    assert names(f"a={INSIDE}", f"a={OUTSIDE}") == ["inside", "outside"], "one point that shows both sides"
    told = run("analyze", f"vm={INSIDE}", f"home={OUTSIDE}", f"isp={OUTSIDE}", "--format", "json").json
    assert [box["between"] for box in told["boxes"]] == [["vm", "home"], ["home", "isp"]]
    assert told["boxes"][1]["kind"]["value"] == "switch"


POINTS: list[tuple[tuple[str, ...], list[tuple[str, tuple[str, ...], str | None]]]] = [
    (("a.pcap",), [("capture", ("a.pcap",), None)]),
    (("a.pcap", "b.pcap"), [("inside", ("a.pcap",), None), ("outside", ("b.pcap",), None)]),
    (("in=a", "out=b"), [("in", ("a",), None), ("out", ("b",), None)]),
    (("in=a", "out=b", "in=c"), [("in", ("a", "c"), None), ("out", ("b",), None)]),
    (("a@0", "b@lan"), [("inside", ("a",), "0"), ("outside", ("b",), "lan")]),
    (("x=a@0", "x=b@0"), [("x", ("a", "b"), "0")]),
    (("-",), [("capture", ("-",), None)]),
    (("x=-@1", "b"), [("x", ("-",), "1"), ("outside", ("b",), None)]),
    (("outside=a", "b"), [("outside", ("a",), None), ("outside'", ("b",), None)]),
    (("./x=y.pcap", "b"), [("inside", ("./x=y.pcap",), None), ("outside", ("b",), None)]),
    (("=a", "b"), [("inside", ("=a",), None), ("outside", ("b",), None)]),
    (("x=k=v.pcap", "b"), [("x", ("k=v.pcap",), None), ("outside", ("b",), None)]),
    (("a@", "b"), [("inside", ("a",), None), ("outside", ("b",), None)]),
    (("user@host.pcap@2",), [("capture", ("user@host.pcap",), "2")]),
]


@pytest.mark.parametrize(("arguments", "want"), POINTS)
def test_parse_points(arguments: tuple[str, ...], want: list[tuple[str, tuple[str, ...], str | None]]) -> None:
    assert [(p.name, p.files, p.interface) for p in parse_points(arguments)] == want


def test_signs_in_names_of_files_that_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("k=v.pcap", "a@0"):
        (tmp_path / name).touch()
    assert [(p.name, p.files, p.interface) for p in parse_points(("k=v.pcap", "x=a@0"))] == [
        ("inside", ("k=v.pcap",), None),
        ("x", ("a@0",), None),
    ]


@pytest.mark.parametrize("arguments", [("x=",), ("x=-", "y=-"), ("x=a", "x=b@0"), ("",)])
def test_points_that_cannot_be(arguments: tuple[str, ...]) -> None:
    with pytest.raises(PcapnatError):
        parse_points(arguments)


@pytest.fixture
def dual(tmp_path: Path) -> str:
    """The demo's both sides as two interfaces of one pcapng."""
    both = sorted([(frame, 0) for frame in read(INSIDE)] + [(frame, 1) for frame in read(OUTSIDE)], key=lambda row: row[0].time_ns)
    path = tmp_path / "dual.pcapng"
    path.write_bytes(
        section("<")
        + interface("<", name="lan", resolution=9)
        + interface("<", name="wan", resolution=9)
        + b"".join(enhanced("<", f.time_ns, f.data, iface=i, wire=f.wire) for f, i in both)
    )
    return str(path)


@pytest.mark.parametrize(("inside", "outside"), [("0", "1"), ("lan", "wan"), ("lan", "1")])
def test_interfaces_of_one_file(inside: str, outside: str, dual: str, run: Run) -> None:
    def translations(*points: str) -> list[Any]:
        rows: list[Any] = run("analyze", *points, "--format", "json").json["boxes"][0]["translations"]
        for row in rows:
            assert row.pop("conversations")
            if row["application"]:
                assert row["application"].pop("frame")
        return rows

    assert translations(f"in={dual}@{inside}", f"out={dual}@{outside}") == translations(INSIDE, OUTSIDE)
    assert "has no interface 'dmz' (it has 0 (lan), 1 (wan))" in run("analyze", f"{dual}@dmz", OUTSIDE).complaint


# --- filters ---


def test_filters(run: Run) -> None:
    """What is selected keeps its numbers; what is left out is told, in the notes and in one line on standard error."""
    every = run("conversations", INSIDE, "--format", "json").json["conversations"]
    ran = run("conversations", INSIDE, "-f", "udp", "--from", "+1", "--to", "1970-01-02", "--format", "json")
    assert json.loads(ran.out)["conversations"] == []
    ran = run("conversations", INSIDE, "-f", "udp and not port 7", "--format", "json")
    told = json.loads(ran.out)
    assert told["conversations"]
    assert {c["stream"] for c in told["conversations"]} <= {c["stream"] for c in every if c["proto"] == "udp"}
    assert {c["first_frame"] for c in told["conversations"]} <= {c["first_frame"] for c in every}
    assert len(told["notes"]) == 1
    assert told["notes"][0].startswith("-f left out ")
    assert ran.err == f"pcapnat: {INSIDE}: {told['notes'][0]}\n"
    assert json.loads(run("sockets", INSIDE, "-c", "3", "--format", "json").out)["notes"] == ["-c: only the first 3 frames were read"]
    analysis = run("analyze", INSIDE, OUTSIDE, "-f", "udp", "--format", "json").json
    assert sum("-f left out" in note for note in analysis["notes"]) == 2
    assert 0 < len(analysis["boxes"][0]["translations"]) < CROSSED


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("-f", "tcp prt 80"), "-f: 'prt' where and, or, or the end should be, at character 5"),
        (("-f", "host example.org"), "names are not looked up, at character 6"),
        (("-f", "tcp\x1b[2J"), "is not part of the language, at character 4"),
        (("--from", "noon"), "--from: 'noon' is no time"),
        (("--from", "+2", "--to", "+1"), "--from is not before --to"),
        (("-c", "0"), "is not in the range"),
    ],
)
@pytest.mark.parametrize("command", ["analyze", "conversations", "sockets"])
def test_filters_that_are_wrong(command: str, args: tuple[str, ...], words: str, run: Run) -> None:
    assert words in run(command, INSIDE, *args).complaint


def test_a_display_filter_of_standard_input(run: Run) -> None:
    with stdin(Path(INSIDE).read_bytes()):
        assert "it has to be a file, no stream" in run("conversations", "-", "-Y", "tcp").complaint


def test_standard_input(run: Run, tmp_path: Path) -> None:
    data = Path(INSIDE).read_bytes()

    def told(*points: str) -> Any:
        with stdin(data, 777):
            return run("analyze", *points, "--format", "json").json

    both = run("analyze", INSIDE, OUTSIDE, "--format", "json").json["boxes"]
    assert told("-", OUTSIDE)["boxes"] == both
    assert told("inside=-", f"outside={OUTSIDE}")["points"][0]["file"] == "-"
    assert len(told("-")["points"][0]["conversations"]) == 44
    with stdin(data):
        assert run("info", "-", "--format", "json").json["frames"] == len(read(INSIDE))
    with stdin(b""):
        assert run("conversations", "-").complaint == "-: the file is empty"
    with stdin(data):
        assert "only once" in run("analyze", "in=-", f"in={INSIDE}", OUTSIDE).complaint


def test_standard_input_of_a_process() -> None:
    ran = process("analyze", "in=-", f"out={OUTSIDE}", "--format", "json", data=Path(INSIDE).read_bytes())
    assert len(ran.json["boxes"][0]["translations"]) == CROSSED


def test_a_file_that_holds_everything_strange(run: Run, tmp_path: Path) -> None:
    frames = [
        Frame(f.time_ns, f.data[:n])
        for n, f in enumerate(script(" | ".join(["A S 1", "A udp x9", "A ping 1 1 x9", "A gre x9", "R about A S 1"] * 16)))
    ]
    path = write(tmp_path / "strange.pcap", frames)
    for command in WITH_FILE:
        assert run(command, path).status == 0
        assert run(command, path, "--format", "json").json


# --- a process's own streams ---


@pytest.mark.parametrize("args", [("demo",), ("demo", "--format", "json"), ("conversations", INSIDE), ("info", INSIDE), ("--help",)])
def test_a_reader_that_goes_away(args: tuple[str, ...]) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "pcapnat", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PCAPNAT_KERNELS": "plain"},
    )
    assert child.stdout
    assert child.stderr
    child.stdout.close()
    with child.stderr as err:
        assert err.read() == b""
    assert child.wait(60) in (0, 1)


def test_a_full_disk() -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    with open("/dev/full", "wb") as full:
        done = subprocess.run([sys.executable, "-m", "pcapnat", "demo"], stdout=full, stderr=subprocess.PIPE, cwd=ROOT, check=False)
    assert Ran(done.returncode, "", done.stderr.decode()).complaint == "standard output: no space left on device"


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors are closed another way there")
@pytest.mark.parametrize(
    ("closed", "args", "said"), [(1, ("demo",), "standard output is closed"), (0, ("info", "-"), "-: standard input is closed")]
)
def test_closed_streams(closed: int, args: tuple[str, ...], said: str) -> None:
    code = f"import os, sys; os.close({closed}); os.execv(sys.executable, [sys.executable, '-m', 'pcapnat', *{args!r}])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, cwd=ROOT, check=False, env={**os.environ, "PCAPNAT_KERNELS": "plain"}
    )
    assert Ran(done.returncode, done.stdout.decode(), done.stderr.decode()).complaint == said


def on_a_terminal(*args: str, **environ: str) -> str:
    """What a command writes to a terminal."""
    import pty

    ours, theirs = pty.openpty()
    with suppress(KeyError):
        environ = {
            **{k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "TERM")},
            "TERM": "xterm",
            "PCAPNAT_KERNELS": "plain",
            **environ,
        }
    child = subprocess.Popen([sys.executable, "-m", "pcapnat", *args], stdout=theirs, stderr=theirs, cwd=ROOT, env=environ)
    os.close(theirs)
    out = b"".join(_until_closed(ours))
    os.close(ours)
    assert child.wait(60) == 0
    return out.decode("utf-8")


def _until_closed(descriptor: int) -> Iterator[bytes]:
    with suppress(OSError):  # Linux reports the other end's going away as an error
        while got := os.read(descriptor, 1 << 16):
            yield got


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals there")
def test_colour_only_where_wanted() -> None:
    page = on_a_terminal("demo")
    assert page.startswith("\x1b[1mWhat was read\x1b[0m")
    assert "\x1b" not in on_a_terminal("demo", NO_COLOR="1")
    assert "\x1b" not in on_a_terminal("demo", TERM="dumb")
    assert "\x1b" not in on_a_terminal("demo", "--format", "json")
