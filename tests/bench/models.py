"""How fast a model plays made traffic, by hand: CPU time, frames a second and bytes a session, without filter rules and with.

    PCAPNAT_KERNELS=native python tests/bench/models.py [--frames N] [--runs N]

UDP sessions of 256 hosts to 64 servers, question and answer in turn, every session again and again; the first play is not timed.
"""
from __future__ import annotations

import argparse
import time

import numpy as np

from pcapnat import kernel, pipeline
from pcapnat.model import NatModel, Traffic
from pcapnat.nat.behavior import NatBehavior
from pcapnat.nat.filters import Action, Condition, Filter, Hook
from pcapnat.nat.presets import PRESETS

SESSIONS = (1_000, 20_000, 50_000)
LINUX = PRESETS["linux-masquerade"].behavior
STATE = Condition("state", ((1, 2),))
RULES = (
    Filter(Hook.FORWARD, 0, Action.ACCEPT, (STATE,), 0, "established"),
    *(Filter(Hook.FORWARD, 0, Action.DROP, (Condition("proto", ((6, 6),)), Condition("dport", ((p, p),)))) for p in range(20, 30)),
    Filter(Hook.FORWARD, 0, Action.ACCEPT, (Condition("entered", ((0, 0),)),), 0, "from inside"),
    Filter(Hook.FORWARD, 0, Action.DROP, (), 0, "policy"),
)


def traffic(frames: int, sessions: int) -> Traffic:
    """Frames that go out, each followed by its answer, as a NAT that keeps ports lets them through."""
    t = Traffic.empty(frames)
    s = np.arange(frames) // 2 % sessions
    back = np.arange(frames) % 2 == 1
    host = (0xFFFF0A000000 + s % 256).astype(np.uint64)
    server = (0xFFFFC6336400 + s // 256 % 64).astype(np.uint64)
    nat = np.uint64(0xFFFFCB007101)
    t.time_ns[:] = np.arange(frames) * 1_000
    t.side[:], t.proto[:], t.kind[:], t.ttl[:], t.quote[:] = back, 17, 1, 64, -1
    t.src[:, 1], t.dst[:, 1] = np.where(back, server, host), np.where(back, nat, server)
    port = 20_000 + s
    t.sport[:], t.dport[:] = np.where(back, 53, port), np.where(back, port, 53)
    return t


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Time a model on made traffic.")
    parser.add_argument("--frames", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    assert pipeline  # it brings all kernels with it
    kernel.prepare(1 << 30)
    for sessions in SESSIONS:
        t = traffic(args.frames, sessions)
        for name, rules in (("no rules", ()), (f"{len(RULES)} rules", RULES)):
            behavior = NatBehavior(**{**LINUX.__dict__, "addresses": ("203.0.113.1",), "filters": rules})
            NatModel(behavior).play(t.take(slice(0, 10_000)))
            best, used, out = 1e9, 0, 0
            for _ in range(args.runs):
                model = NatModel(behavior)
                begun = time.process_time()
                verdicts, _ = model.play(t)
                best = min(best, time.process_time() - begun)
                used, out = model.bytes_used, int((verdicts.disposition == 1).sum())
            rate = args.frames / best / 1e6
            room = f"{used / sessions:,.0f} bytes a session"
            print(f"{sessions:>7,} sessions, {name}: {rate:5.1f} million frames/s, {room}; {out:,} translated")


if __name__ == "__main__":
    main()
