"""What is inferred from the traffic of every known NAT is what it does, a weaker word, or unknown; never anything else."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from made_sessions import MadeNat, made_sessions
from preset_traffic import preset_seen

from pcapnat.nat.behavior import PortChoice
from pcapnat.nat.filtering import filtering
from pcapnat.nat.keeping import mapping_behavior, sharing
from pcapnat.nat.portchoice import ports
from pcapnat.nat.presets import PRESETS

BEST_EFFORT = "endpoint-independent-best-effort"
FIRST_FREE = ("azure", "gcp-cloud-nat")
"""Their model gives the first free port of a block, which is the same towards each destination: no trace of what mappings depend on."""


def weaker(name: str) -> dict[str, set[object]]:
    """Words that say less than what a NAT does, and nothing that is not so."""
    b = PRESETS[name].behavior
    mapping = {BEST_EFFORT} if b.mapping.depth == 0 or b.port_choice.preserves or name in FIRST_FREE else set()
    choice = {"preserve"} if b.port_choice.preserves else {"random"} if b.port_choice is PortChoice.HOST_EPHEMERAL else set()
    return {"mapping": mapping, "port_choice": choice}


@pytest.mark.parametrize("size", [20, 100, 1000])
def test_true_or_unknown(size: int) -> None:
    """Prints the share of unknowns of each question."""
    unknown: Counter[str] = Counter()
    bad, runs = [], 0
    for name, preset in PRESETS.items():
        b = preset.behavior
        for seed in range(2 if size < 1000 else 1):
            seen = preset_seen(b, size, seed)
            s = seen.sessions
            used = ports(s, False, False)
            changed = s.outside_port[~s.kept()]
            span = int(np.ptp(changed)) + 1 if used.choice.value == "random" and len(changed) else 0
            shared = sharing(s, (used.choice.value or "").startswith("preserve"), span)
            share = used.allocation.value
            got = {
                "mapping": (mapping_behavior(s, False, shared.value).value, b.mapping.value),
                "port_choice": (used.choice.value, b.port_choice.value),
                "filtering": (filtering(seen.filtering).value, b.filtering.value),
                "port_overloading": (shared.value, b.port_overloading),
                "parity": (used.parity.value, b.parity),
                "block_size": (used.block_size.value, b.block_size),
                "allocation": (share and share["ports_per_host"], 1008 if name == "cgn-deterministic" else 0),
            }
            runs += 1
            for question, (value, want) in got.items():
                unknown[question] += value is None
                if value is not None and value != want and value not in weaker(name).get(question, set()):
                    bad.append(f"{name} {seed}: {question} {value} for {want}")
    print(f"{size} mappings, unknown of {runs}: " + ", ".join(f"{q} {n}" for q, n in unknown.items()))  # noqa: T201
    assert not bad


def test_the_formula_of_shares() -> None:
    for size in (20, 60, 300):
        for seed in range(3):
            found = ports(preset_seen(PRESETS["cgn-deterministic"].behavior, size, seed, 12).sessions, False, False)
            assert found.allocation.value in (None, {"first_port": 1024, "ports_per_host": 1008, "first_host": "100.64.0.0"})
            assert found.choice.value in ("static", None) if size == 20 else found.choice.value == "static"


@pytest.mark.parametrize("size", [40, 400])
def test_blocks_are_no_formula(size: int) -> None:
    """Blocks dealt at random, whatever the order of hosts."""
    for seed in range(10):
        nat = MadeNat("endpoint-independent", "block", False, block=512, rng=random.Random(seed))
        assert ports(made_sessions(nat, size, hosts=6), False, False).allocation.value is None
