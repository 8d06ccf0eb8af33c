"""What is inferred from NATs of known behavior is what they do, or unknown; never anything else."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from made_sessions import MadeNat, made_sessions

from pcapnat.nat.keeping import mapping_behavior, sharing
from pcapnat.nat.portchoice import ports
from pcapnat.nat.session import Sessions

MAPPINGS = ("endpoint-independent", "endpoint-independent-best-effort", "address-dependent", "address-and-port-dependent")
CHOICES = ("preserve-else-random", "preserve-else-sequential", "random", "sequential", "block")
SIZES = (20, 100, 1000)
BEST_EFFORT = "endpoint-independent-best-effort"


def infer(nat: MadeNat, size: int) -> tuple[dict[str, object], int, int]:
    """Findings' values for so many mappings; how many mappings there were and how many changed the port."""
    s = made_sessions(nat, size)
    made = s.made()
    changed = made.outside_port[~made.kept()]
    found = ports(s, False, False)
    span = int(changed.max() - changed.min()) + 1 if found.choice.value == "random" and len(changed) else 0
    shared = sharing(s, (found.choice.value or "").startswith("preserve"), span)
    values: dict[str, object] = {
        "mapping": mapping_behavior(s, False, shared.value).value,
        "port_choice": found.choice.value,
        "port_range": found.range.value,
        "port_overloading": shared.value,
        "parity": found.parity.value,
        "block_size": found.block_size.value,
    }
    return values, len(made), len(changed)


def wrong(nat: MadeNat, values: dict[str, object], made: int, changed: int) -> list[str]:
    """Answers that are neither unknown, nor true, nor the weaker word that says no more than what was seen."""
    out = []
    mapping, choice = values["mapping"], values["port_choice"]
    keeps = nat.choice.startswith("preserve")
    # One endpoint as long as it is free: also what keeping free ports looks like, and what strict NATs do.
    weaker = {BEST_EFFORT} if nat.mapping == "endpoint-independent" or (keeps and nat.share) else set()
    if mapping not in {None, nat.mapping} | weaker:
        out.append(f"mapping {mapping}")
    # "preserve" says that others were too few to tell.
    if choice not in {None, nat.choice} | ({"preserve"} if keeps and changed <= made / 10 else set()):
        out.append(f"port_choice {choice}")
    if (range_ := values["port_range"]) is not None:
        low, high = range_  # type: ignore[misc]
        slack = (low - nat.low) + (nat.high - high)
        if low < nat.low or high > nat.high or slack > 0.25 * (nat.high - nat.low + 1):
            out.append(f"port_range {range_}")
    if values["port_overloading"] not in (None, nat.share):
        out.append(f"port_overloading {values['port_overloading']}")
    if values["parity"] is True and nat.choice != "sequential":
        out.append("parity")
    if values["block_size"] not in (None, nat.block or None):
        out.append(f"block_size {values['block_size']}")
    return out


@pytest.mark.parametrize("size", SIZES)
def test_inferred_is_true_or_unknown(size: int) -> None:
    """Prints the share of unknowns of each question."""
    asked: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    bad = []
    for mapping in MAPPINGS:
        for choice in CHOICES:
            for share in (True, False):
                if mapping == BEST_EFFORT and not share:
                    continue  # best effort means that sharing is what fails
                for seed in range(3 if size < 1000 else 1):
                    nat = MadeNat(mapping, choice, share, block=256 if choice == "block" else 0, rng=random.Random(f"{size} {seed}"))
                    values, made, changed = infer(nat, size)
                    for name, value in values.items():
                        asked[name] += 1
                        unknown[name] += value is None
                    bad += [
                        f"{mapping} {choice} {'sharing' if share else 'alone'} {seed}: {what}" for what in wrong(nat, values, made, changed)
                    ]
    print(f"{size} mappings, unknown: " + ", ".join(f"{name} {unknown[name]}/{asked[name]}" for name in asked))  # noqa: T201
    assert not bad


@pytest.mark.parametrize(("low", "high"), [(1024, 65535), (49152, 65535), (50001, 65535), (40000, 40099), (40000, 40009), (10000, 60000)])
@pytest.mark.parametrize("size", [20, 60, 400])
def test_ranges(low: int, high: int, size: int) -> None:
    for seed in range(5):
        nat = MadeNat("address-and-port-dependent", "random", True, low=low, high=high, rng=random.Random(seed))
        values, made, changed = infer(nat, size)
        assert wrong(nat, values, made, changed) == []


@pytest.mark.parametrize("ports", [32, 200])
@pytest.mark.parametrize("mapping", MAPPINGS)
def test_mapping_among_few_ports(mapping: str, ports: int) -> None:
    """A port that a socket has again by chance proves no rule, and hides none."""
    known = 0
    for seed in range(6):
        nat = MadeNat(mapping, "random", True, low=40000, high=39999 + ports, rng=random.Random(seed))
        values, made, changed = infer(nat, 150)
        assert wrong(nat, values, made, changed) == []
        known += values["mapping"] is not None
    assert known >= 5 or mapping == "address-dependent"


def test_ports_kept_by_one_rule_and_drawn_by_another() -> None:
    """What changed although nobody had the port was not changed because somebody had."""
    for seed in range(6):
        rng = random.Random(seed)
        s = made_sessions(MadeNat("address-and-port-dependent", "preserve-else-random", True, rng=rng), 120, crowded=0.4)
        assert "nobody had their port" not in ports(s, False, False).choice.note
        # Towards one server of six, ports are drawn.
        drawn = (s.remote[:, 1] == s.remote[0, 1]) & s.kept()
        port = np.where(drawn, rng.sample(range(1024, 65536), len(s)), s.outside_port).astype(np.int32)
        found = ports(Sessions(**{**{name: getattr(s, name) for name in s.columns}, "outside_port": port}), False, False).choice
        assert found.value is None
        assert "nobody had their port" in found.note


@pytest.mark.parametrize("size", [64, 512, 2048])
def test_few_ports_of_few_hosts_show_whether_there_are_blocks(size: int) -> None:
    """16 ports of 4 hosts, drawn from 10,000, lie all over the place; in blocks they do not, and nobody says that they are random."""
    known = 0
    for seed in range(30):
        rng = random.Random(seed)
        nat = MadeNat("address-and-port-dependent", "random", True, low=20000, high=29999, rng=rng)
        found = ports(made_sessions(nat, 16, hosts=4, crowded=0), False, False).choice
        assert found.value in ("random", None)
        known += found.value is not None
        nat = MadeNat("address-and-port-dependent", "block", True, low=20000, high=29999, block=size, rng=rng)
        assert ports(made_sessions(nat, 16, hosts=4, crowded=0), False, False).choice.value in ("block", None)
    assert known >= 24
