"""What frames that left show, and what of it a model says nothing definite of."""

from __future__ import annotations

import numpy as np

from ..flow import Port
from ..model import Traffic, Verdicts, clamped
from ..nat.behavior import NatBehavior
from ..table import Array
from ..wire import Flag

SYN = 2
V4_UPPER = 0xFFFF


def column(ports: tuple[Port, ...], name: str, port: Array, row: Array) -> Array:
    """A column of the frames as they left; zero where they were not seen."""
    sample = getattr(ports[0].packets, name)
    out = np.zeros((len(row), *sample.shape[1:]), sample.dtype)
    for number, p in enumerate(ports):
        mine = (port == number) & (row >= 0)
        out[mine] = getattr(p.packets, name)[row[mine]]
    return out


def any_ttl(behavior: NatBehavior, t: Traffic) -> Array:
    """(n,) frames that may leave with any TTL, as nothing is known of what the box does with it."""
    unknown = np.array([behavior.ttl_fall(side) < 0 for side in (0, 1)]) & (behavior.ttl_new == 0)
    return np.asarray(unknown[np.minimum(t.side, 1)])


def sizes(behavior: NatBehavior, t: Traffic, v: Verdicts, mss: Array) -> tuple[Array, Array]:
    """(n,) the segment sizes of SYNs as the model lets them out, and whether smaller ones are as right. mss: those they came with."""
    version = np.where((v.src[:, 0] == 0) & (v.src[:, 1] >> np.uint64(32) == V4_UPPER), 4, 6)
    return clamped(behavior.mss, mss, t.tcp_flags & SYN != 0, version, v.side)


def stated(ports: tuple[Port, ...], port: Array, row: Array) -> Array:
    """(n,) segment sizes that frames state, 0 for none."""
    return np.where(column(ports, "flags", port, row) & int(Flag.MSS) != 0, column(ports, "mss", port, row), 0).astype(np.int64)
