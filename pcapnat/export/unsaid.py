"""What a language cannot say: every parameter that its system does otherwise by itself, as lines of a comment."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, fields

from ..nat.behavior import GENERAL, TIMES, NatBehavior
from ..nat.inferred import ENDLESS_S
from .model import toml


@dataclass(frozen=True)
class Site:
    """What is known besides the behavior. hosts: source addresses inside that leave under others; None: nothing is known of them.

    free: parameters whose values are nobody's finding, so that the system's own are as good. asked: questions without an answer.
    besides: what was found and no parameter stands for.
    """

    hosts: tuple[str, ...] | None = None
    free: frozenset[str] = frozenset()
    asked: tuple[str, ...] = ()
    besides: tuple[str, ...] = ()

    def head(self) -> list[str]:
        """Lines about what is not known, and what is known besides."""
        free = [f"not told by the captures, and left to the system: {', '.join(self.asked)}"] if self.asked else []
        return free + [f"found, and not said here: {line}" for line in self.besides]


OF_FINDING = {"port_range": ("port_ranges",), "port_overloading": ("port_overloading",)}
UNASKED = frozenset(
    ("name", "source", "mapping_tcp", "filtering_tcp", "keeps_any_port", "port_attempts", "icmp_range", "hairpin_dynamic", "forwards",
     "udp_assured_after_s", "udp_dns_s", "other_idle_s", "tcp_machine", "tcp_pickup", "unsolicited", "portless", "icmp_queries",
     "icmp_errors", "fragments", "ports_per_host", "blocks_per_host", "table_size", "refresh_outbound", "refresh_inbound", "ttl_new")
)  # fmt: skip
"""Parameters of a model made of findings that no finding stands behind."""


def unknown(assumed: Iterable[str]) -> frozenset[str]:
    """The parameters that are free in a model made of findings, of which `assumed` are without an answer."""
    return UNASKED.union(*(OF_FINDING.get(name, (name,)) for name in assumed))


@dataclass
class Told:
    """What of a behavior is said so far: parameters by name, and lines for what is not."""

    behavior: NatBehavior
    site: Site
    said: set[str] = field(default_factory=lambda: {"name", "source"})
    notes: list[str] = field(default_factory=list)

    def note(self, line: str) -> None:
        """A line for what cannot be said, once."""
        if line not in self.notes:
            self.notes.append(line)

    def has(self, name: str) -> bool:
        """Whether a parameter is known; it counts as said from here on."""
        self.said.add(name)
        return name not in self.site.free

    def seconds(self, name: str) -> int | None:
        """A time in whole seconds; None if it is free, or never seen to end."""
        general = GENERAL.get(name, name) if getattr(self.behavior, name) is None else name
        self.said.add(name)
        value = self.behavior.seconds(name)
        return None if general in self.site.free or name in self.site.free or value >= ENDLESS_S else max(1, round(value))

    def left(self, base: NatBehavior) -> list[str]:
        """A line for every other parameter that is known and is not what the system does by itself (`base`)."""
        out = []
        for f in fields(self.behavior):
            value = getattr(self.behavior, f.name)
            if f.name in self.said or f.name in self.site.free or value is None or value == getattr(base, f.name):
                continue
            if f.name in TIMES and (float(value) >= ENDLESS_S or value == base.seconds(f.name)):
                continue
            own = getattr(base, f.name)
            out.append(f"{f.name} = {toml(value)}" + ("" if own is None or own == () else f"; it does {toml(own)}"))
        return out


def endless(behavior: NatBehavior, free: Collection[str]) -> list[str]:
    """The times that are known only from below."""
    names = ("udp_idle_s", "udp_reply_idle_s", "tcp_idle_s", "tcp_transitory_idle_s", "icmp_idle_s")
    return [name for name in names if name not in free and behavior.seconds(name) >= ENDLESS_S]
