"""Sessions through a NAT of known behavior, written as a few lines of plain Python: no packets, no code under test but the table."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np

from pcapnat.nat.session import Sessions

Socket = tuple[int, int, int]
"""Protocol, host and port."""
Target = tuple[int, int]
"""Address and port."""
SECOND = 1_000_000_000


@dataclass
class MadeNat:
    """mapping: by what a socket's endpoint is remembered; share: whether destinations may share an endpoint."""

    mapping: str
    choice: str
    share: bool
    low: int = 1024
    high: int = 65535
    block: int = 0
    rng: random.Random = field(default_factory=random.Random)
    memory: dict[tuple[object, ...], int] = field(default_factory=dict)
    held: dict[tuple[int, int], dict[Target, Socket]] = field(default_factory=dict)
    counter: int = 0
    blocks: dict[int, list[int]] = field(default_factory=dict)
    used_blocks: set[int] = field(default_factory=set)

    def free(self, proto: int, port: int, socket: Socket, target: Target) -> bool:
        """Whether a session may have this outside port."""
        holders = self.held.get((proto, port), {})
        if self.share:
            return holders.get(target, socket) == socket
        # Without sharing an endpoint belongs to one socket, and to one entry of the memory.
        return not holders or (all(h == socket for h in holders.values()) and self.mapping == "endpoint-independent")

    def out(self, socket: Socket, target: Target) -> int | None:
        """The outside port of a new session."""
        key: tuple[object, ...] = {
            "endpoint-independent": (socket,),
            "endpoint-independent-best-effort": (socket,),
            "address-dependent": (socket, target[0]),
            "address-and-port-dependent": (socket, target),
        }[self.mapping]
        port = self.memory.get(key)
        if port is not None and self.mapping == "endpoint-independent-best-effort" and not self.free(socket[0], port, socket, target):
            port = None
        if port is None:
            port = self.choose(socket, target)
            if port is None:
                return None
            self.memory[key] = port
        self.held.setdefault((socket[0], port), {})[target] = socket
        return port

    def choose(self, socket: Socket, target: Target) -> int | None:
        """By the rule for new mappings."""
        if self.choice.startswith("preserve") and self.free(socket[0], socket[2], socket, target):
            return socket[2]
        for _ in range(400):
            if self.choice.endswith("sequential"):
                port = self.low + self.counter % (self.high - self.low + 1)
                self.counter += 1
            elif self.choice == "block":
                port = self.in_block(socket[1])
            else:
                port = self.rng.randrange(self.low, self.high + 1)
            if self.free(socket[0], port, socket, target):
                return port
        return None

    def in_block(self, host: int) -> int:
        """A random port of the host's last block; of a new one every so often, as when it is full."""
        mine = self.blocks.setdefault(host, [])
        used = sum(1 for (_, port), holders in self.held.items() if mine and port // self.block == mine[-1] and holders)
        if not mine or used > self.block * 0.8:
            while (new := self.rng.randrange(1024 // self.block + 1, 65536 // self.block)) in self.used_blocks:
                pass
            self.used_blocks.add(new)
            mine.append(new)
        return mine[-1] * self.block + self.rng.randrange(self.block)


def made_sessions(nat: MadeNat, mappings: int, hosts: int = 8, crowded: float = 0.2) -> Sessions:
    """Sessions until so many mappings were made. crowded: share of sockets whose port other hosts use as well."""
    rng = nat.rng
    rows: list[tuple[int, ...]] = []
    made: set[tuple[int, ...]] = set()
    remotes = [0xFFFF_C6336400 + k for k in range(6)]
    time, tries = 1_700_000_000 * SECOND, 0
    nat.counter = rng.randrange(nat.high - nat.low + 1) // 2
    # Mappings live for as long as the sessions' grace, as nothing here is dropped.
    while len(made) < mappings and tries < 5 * mappings:
        tries += 1
        proto = rng.choice((6, 17))
        host = 0xFFFF_0A000000 + 10 + rng.randrange(hosts)
        port = rng.choice((5060, 5062, 7000, 4500)) if rng.random() < crowded else rng.randrange(32768, 61000)
        socket = (proto, host, port)
        for _ in range(rng.choice((1, 1, 2, 4)) if proto == 17 else 1):
            target = (rng.choice(remotes), rng.choice((3478, 3479)) if proto == 17 else 443)
            time += rng.randrange(1_000_000, 5_000_000)
            outside = nat.out(socket, target)
            if outside is None:
                continue
            made.add((*socket, outside))
            rows.append((proto, host, port, outside, *target, time))
    end = time + SECOND
    a = np.array(rows, np.int64).reshape(-1, 7)
    n = len(a)

    def address(column: np.ndarray) -> np.ndarray:
        return np.column_stack([np.zeros(n, np.uint64), column.astype(np.uint64)])

    table = Sessions(
        proto=a[:, 0].astype(np.uint8),
        inside=address(a[:, 1]),
        outside=address(np.full(n, 0xFFFF_CB00710A)),
        remote=address(a[:, 4]),
        inside_port=a[:, 2].astype(np.int32),
        outside_port=a[:, 3].astype(np.int32),
        remote_port=a[:, 5].astype(np.int32),
        first_ns=a[:, 6],
        last_ns=np.full(n, end),
        opened=np.ones(n, np.uint8),
        closed=np.zeros(n, np.uint8),
        hairpin=np.zeros(n, np.uint8),
        row=np.arange(n),
    )
    # The same socket asking the same destination again is no new session.
    key = np.column_stack([table.proto, a[:, 1], a[:, 2], a[:, 4], a[:, 5]])
    return table.take(np.sort(np.unique(key, axis=0, return_index=True)[1]))
