"""Coverage-guided fuzzing, by hand: python tests/fuzz/fuzz.py TARGET [--folder CAPTURES] [--work FOLDER] [atheris options]

TARGET is a name in targets.py (none: they are listed). Needs atheris, which is no dependency of the tests. Seeds are made, and
taken from CAPTURES if given; what is found new is kept in FOLDER/TARGET (default: below the system's temporary folder) for the
next run. Options go on to libFuzzer, as in -max_total_time=600, -runs=1000, or a file to run alone; crashes are written to the
working directory. Kernels run plain, on arrays that refuse indices below 0; one input in eight runs in machine code as well and
must come to the same.
"""
from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

HERE = Path(__file__).parent
SLOW_S, SLOW_BYTE_S = 4.0, 1e-3
"""No input may take longer, instrumented and plain: some seconds, and a millisecond a byte."""
COMPILE = """
from pcapnat import pipeline
from pcapnat.kernel import native
from pcapnat.kernel.engine import INNER, KERNELS
native.load(KERNELS, INNER)
print(native._file(KERNELS, INNER))
"""


def option(name: str) -> str | None:
    """The value of one of our own options, taken out of the arguments."""
    if name not in sys.argv:
        return None
    at = sys.argv.index(name)
    value = sys.argv[at + 1]
    del sys.argv[at:at + 2]
    return value


def main() -> None:
    """Instrument, make the seeds, run."""
    import atheris

    folder, work = option("--folder"), Path(option("--work") or Path(tempfile.gettempdir()) / "pcapnat-fuzz")
    # Machine code of the sources as they are: what is instrumented cannot be compiled.
    code = subprocess.run([sys.executable, "-c", COMPILE], check=True, capture_output=True, text=True, cwd=HERE.parents[1]).stdout.strip()
    sys.path[:0] = [str(HERE), str(HERE.parent / "wire"), str(HERE.parents[1])]
    with atheris.instrument_imports(include=["pcapnat"]):
        import seeds
        import targets
        from guard import guarded

        from pcapnat.kernel import native
        from pcapnat.kernel.engine import KERNELS
        from pcapnat.wire import etl, pcapng, via  # noqa: F401
    if len(sys.argv) < 2 or sys.argv[1] not in targets.TARGETS:
        sys.exit(f"{__doc__}\ntargets: {', '.join(targets.TARGETS)}")
    name = sys.argv.pop(1)
    target = targets.TARGETS[name]
    via.program = lambda: None  # tshark is somebody else's to fuzz
    native._link(KERNELS, native._stored(Path(code)) or b"")
    machine = {k: k.native for k in KERNELS}
    for k in KERNELS:
        k.native = None
    kept = work / name
    kept.mkdir(parents=True, exist_ok=True)
    found = seeds.from_folder(Path(folder), name, 4 * target.longest) if folder else []
    most = max([target.longest, *map(len, found)])
    for seed in target.seeds() + found:
        (kept / ("seed-" + hashlib.sha256(seed).hexdigest()[:16])).write_bytes(seed)
    fast = Path("/dev/shm")
    place = Path(tempfile.mkdtemp(dir=fast if fast.is_dir() else None))

    unraised: list[list[str]] = []

    def one(data: bytes) -> None:
        started = time.process_time()
        with guarded():
            plain = target.run(data, place)
        took = time.process_time() - started
        assert not unraised[0], unraised
        assert took < SLOW_S + len(data) * SLOW_BYTE_S, f"{took:.1f} s for {len(data)} bytes"
        if zlib.crc32(data) % 8:
            return
        for k in KERNELS:
            k.native = machine[k]
        try:
            assert target.run(data, place) == plain, "machine code says something else"
        finally:
            for k in KERNELS:
                k.native = None

    limits = [f"-max_len={most}", "-rss_limit_mb=2000", "-timeout=60"]
    alone = any(not argument.startswith("-") for argument in sys.argv[1:])
    with targets.strictly() as left:
        unraised.append(left)
        atheris.Setup([sys.argv[0], *limits, *sys.argv[1:], *([] if alone else [str(kept)])], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
