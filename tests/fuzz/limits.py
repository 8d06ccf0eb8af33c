"""The command line with limits, and what it took: a process that has everything imported forks for every command.

As a program it is that process: it reads a command a line, as JSON, and answers with its status, CPU seconds and peak memory.
"""
from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any, NamedTuple

CPU_S, PEAK_MB = 5.0, 500.0
"""What a command may take for a file of the size that captures in test suites have."""
STOP_CPU_S, STOP_BYTES = 40, 6 << 30
"""Beyond this it is ended: a finding, told in seconds rather than hours."""


class Outcome(NamedTuple):
    """What a command said, and what it took."""

    status: int
    cpu_s: float
    peak_mb: float
    out: str
    err: str

    def within(self) -> bool:
        """Whether it kept to what a command may take."""
        return self.cpu_s < CPU_S and self.peak_mb < PEAK_MB


class Commands:
    """The process that forks; one at a time."""

    def __init__(self) -> None:
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                         env=environment)

    def run(self, *arguments: str, stdin: str = os.devnull, files: int = 0, plain: bool = False) -> Outcome:
        """pcapnat with these arguments. files: how many it may have open at a time; 0: as many as usual."""
        assert self._process.stdin
        assert self._process.stdout
        with tempfile.TemporaryDirectory() as folder:
            out, err = (os.path.join(folder, name) for name in ("out", "err"))
            command = {"arguments": arguments, "stdin": stdin, "out": out, "err": err, "files": files, "plain": plain}
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
            said = json.loads(self._process.stdout.readline())
            texts = [Path(path).read_text(encoding="utf-8", errors="replace") for path in (out, err)]
        return Outcome(said["status"], said["cpu_s"], said["peak_mb"], *texts)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def child(command: dict[str, Any]) -> int:
    """Do a command in this process, which is a fork."""
    from pcapnat import cli

    resource.setrlimit(resource.RLIMIT_AS, (STOP_BYTES, STOP_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (STOP_CPU_S, STOP_CPU_S))
    if command["files"]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (command["files"], command["files"]))
    if command["plain"]:
        os.environ["PCAPNAT_KERNELS"] = "plain"
    for number, name, mode in ((0, "stdin", os.O_RDONLY), (1, "out", os.O_WRONLY | os.O_CREAT), (2, "err", os.O_WRONLY | os.O_CREAT)):
        os.dup2(os.open(command[name], mode, 0o600), number)
    sys.argv = ["pcapnat", *command["arguments"]]
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def serve(commands: IO[str], answers: int) -> None:
    """Fork for every line."""
    import concurrent.futures  # noqa: F401
    import traceback

    import lz4.frame  # noqa: F401
    import zstandard  # noqa: F401

    from pcapnat import analysis, flow, nat, pipeline, report, wire  # noqa: F401
    from pcapnat.wire import etl  # noqa: F401

    for line in commands:
        pid = os.fork()
        if pid == 0:
            status = 70
            try:
                status = child(json.loads(line))
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        _, status, used = os.wait4(pid, 0)
        answer = {"status": os.waitstatus_to_exitcode(status), "cpu_s": used.ru_utime + used.ru_stime, "peak_mb": used.ru_maxrss / 1024}
        os.write(answers, json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    serve(sys.stdin, os.dup(1))
