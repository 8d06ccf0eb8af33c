"""The road from capture files to an Analysis: the rooms in order."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from . import kernel
from .analysis import Analysis, Box, Diff, Forecasted, Live, Supposed, Traced
from .config import SessionTable
from .config import compared as compared_table
from .export import captured
from .flow import Port, cross, delays, observe, sockets, split
from .message import Messages, messages
from .nat import (
    box_kind,
    collisions,
    conformance,
    double_nat,
    host_ports,
    hosts_behind,
    infer,
    leaks,
    likely,
    mappings,
    modelled,
    port_load,
    port_use,
    presence,
    sessions,
    translations,
    turned,
)
from .nat.behavior import NatBehavior
from .reading import Say, expected
from .replay import forecast, forecast_outside, is_outside, replay, trace, whatif, write_expected
from .replay.send import send
from .terms import Clock, PcapnatError, Point
from .wire import (
    Flag,
    Progress,
    glance,
    key_limit,
)


def analyze(points: list[Point], say: Say | None = None, progress: Progress | None = None, table: SessionTable | None = None) -> Analysis:
    """Everything about the boxes between points given from the innermost to the outermost.

    table: the one box's own, which is compared with what crossed. Raises PcapnatError if there is another number of boxes.
    """
    if table and len(points) > 2:
        raise PcapnatError(f"a table is of one box: of the {len(points) - 1} between these points it is not known which")
    limit = _prepared(points, say)
    from concurrent.futures import ThreadPoolExecutor  # here, because other commands need not wait for its import

    with ThreadPoolExecutor(2) as pool:  # kernels run outside the interpreter's lock
        ports = [port for port, _ in pool.map(lambda point: observe(point, limit, progress), points)]
        both = split(ports[0]) if len(ports) == 1 else None
        ports = list(both) if both else ports
        used = pool.map(sockets, [p.conversations for p in ports])  # beside what follows
        said = pool.map(messages, [p.picked for p in ports])
        boxes = [_box(here, there) for here, there in pairwise(ports)]
        heard = list(said)
        notes = [_split(*both)] if both else []
        told = notes + _notes(ports, boxes) + _unread(ports, heard)
        found = Analysis(ports, _clocks(boxes), list(used), boxes, told, heard, [host_ports(p.conversations) for p in ports])
        if table and not boxes:
            raise PcapnatError(f"{points[0].name}: this capture shows one side of a box only: a table is compared with what crossed it")
        if table:
            boxes[0].table = compared_table(table, boxes[0].crossing, boxes[0].translations)
        if not boxes:
            found.behind, found.presence = hosts_behind(ports[0]), presence(ports[0], heard[0])
        return found


def _prepared(points: list[Point], say: Say | None) -> int:
    """Kernels ready for what these points will need; gives the payload bytes that fingerprints cover."""
    glances = [(glance(file, point.via), point.selection) for point in points for file in point.files]
    kernel.prepare(sum(expected(g.frames, selection) for g, selection in glances), say)
    return key_limit([s for g, _ in glances for s in g.snaplens])


def diff(
    points: list[Point],
    behavior: NatBehavior,
    say: Say | None = None,
    progress: Progress | None = None,
    table: SessionTable | None = None,
) -> Diff:
    """What entered the box between two points (or that one capture of both its sides shows), played through a model of it.

    table: the box's own, which is compared with what crossed and with the model's rules.

    Raises PcapnatError for another number of points.
    """
    both = _both_sides(points, "diff", say, progress)
    crossing = cross(*both)
    found = replay(crossing, behavior)
    notes = [_split(*both)] if len(points) == 1 else []
    everything = translations(crossing)
    if turned(everything):
        notes.append(f"{both[1].name} is inside of {both[0].name}, as addresses and TTLs tell: give the points from the inside out")
    truth = compared_table(table, crossing, everything, behavior) if table else None
    return Diff(crossing, found, notes + _notes(list(both), []), truth)


def _both_sides(points: list[Point], what: str, say: Say | None, progress: Progress | None) -> tuple[Port, Port]:
    """What two points show, or both sides of a box that one capture shows."""
    if not 1 <= len(points) <= 2:
        raise PcapnatError(f"a {what} needs two points, inside and outside; {len(points)} are given")
    limit = _prepared(points, say)
    ports = [observe(point, limit, progress)[0] for point in points]
    both = split(ports[0]) if len(ports) == 1 else (ports[0], ports[1])
    if both is None:
        raise PcapnatError(f"{points[0].name}: this capture shows one side of a box only: a {what} needs the other side, too")
    return both


def follow(
    points: list[Point], frame: tuple[str, int], behavior: NatBehavior | None, say: Say | None = None, progress: Progress | None = None
) -> Traced:
    """The way of one frame (name of its point, number) through a model of the box between two points; None: the inferred one.

    Raises PcapnatError for a point or frame that there is not, and where no NAT was inferred.
    """
    both = _both_sides(points, "trace", say, progress)
    names = [p.name for p in both]
    name, number = frame
    if name not in names:
        raise PcapnatError(f"{name}: no such point; there is {' and '.join(names)}")
    port = both[names.index(name)]
    if number > len(port.packets):
        raise PcapnatError(f"{name} has no frame {number}: it holds {len(port.packets)}")
    notes = [_split(*both)] if len(points) == 1 else []
    if behavior is None:
        box = _box(*both)
        if box.replay is None:
            raise PcapnatError(f"between {names[0]} and {names[1]} no NAT was found to make a model of: --through names one")
        crossing, behavior = box.crossing, box.replay.behavior
        if box.assumed:
            notes.append(f"the inferred model leaves free what these captures do not tell: {', '.join(box.assumed)}")
    else:
        crossing = cross(*both)
    return Traced(crossing, trace(crossing, behavior, (names.index(name), number)), notes)


def foresee(
    point: Point,
    behavior: NatBehavior,
    say: Say | None = None,
    progress: Progress | None = None,
    write: str | None = None,
    side: str | None = None,
) -> Forecasted:
    """What a model of a NAT would do with the frames of a point. write: where the expected capture goes.

    side: "inside" or "outside"; None: outside if most frames are of the model's outside addresses.
    """
    port, _ = observe(point, _prepared([point], say), progress)
    if side == "outside" or (side is None and is_outside(port, behavior)):
        if write:
            raise PcapnatError(f"{point.name}: a capture from outside does not tell who is inside: no expected capture can be written")
        return Forecasted(port, forecast_outside(port, behavior), _notes([port], []))
    found = Forecasted(port, forecast(port, behavior), _notes([port], []))
    if write:
        found.written = write_expected(point, port, found.forecast, write, "pcapnat", progress)
    return found


def live(
    point: Point,
    interface: str,
    to: str | None,
    inside: tuple[str, ...],
    agreed: Callable[[str], bool],
    say: Say | None = None,
    progress: Progress | None = None,
) -> Live | None:
    """Send what enters at an inside point on an interface, once `agreed` says yes; None if it says no. inside: its prefixes, if known."""
    port, _ = observe(point, _prepared([point], say), progress)
    sent = send(point, port, interface, to, inside, agreed)
    return Live(port, sent, _notes([port], [])) if sent else None


def suppose(point: Point, models: list[tuple[str, NatBehavior]], say: Say | None = None, progress: Progress | None = None) -> Supposed:
    """What several models, each with what the user called it, would do with the frames of an inside point."""
    port, _ = observe(point, _prepared([point], say), progress)
    return Supposed(port, [whatif(port, behavior, said) for said, behavior in models], _notes([port], []))


def _split(inside: Port, outside: Port) -> str:
    counts = f"{len(inside.conversations)} conversations inside and {len(outside.conversations)} outside"
    return f"one capture shows both sides of a box: {counts}, told apart by TTLs, links and hosts; frame numbers are those of the one file"


def _box(here: Port, there: Port) -> Box:
    crossing = cross(here, there)
    everything = translations(crossing)
    leaked = leaks(everything)
    crossed = everything.take(~leaked)
    mapped, rows = mappings(crossed)
    used, behavior = port_use(mapped, rows, crossed), infer(crossing, crossed)
    box = Box(crossing, box_kind(crossing, crossed), crossed, everything.take(leaked), mapped, rows, used, behavior, delays(crossing))
    if box.kind.value in ("nat", "proxy") and (crossed.kind != 0).any():
        model = modelled(behavior, crossed, len(box.leaks))
        box.replay, box.assumed = replay(crossing, model.behavior), model.assumed
        ranges, made = model.behavior.port_ranges, sessions(crossing, crossed)
        known = behavior.port_range.value or ([ranges[0].low, ranges[0].high] if not model.behavior.keeps_any_port else [0, 65535])
        box.load = port_load(made, (known[0], known[1]) if known != [0, 65535] else None)
        box.collisions, box.double_nat = collisions(made), double_nat(made.outside)
        box.requirements = conformance(crossing, crossed, behavior)
        box.likely = likely(crossing, crossed, behavior, len(box.leaks))
    return box


def configured(analysis: Analysis, language: str) -> list[str]:
    """The model of each box that translates, from the inside out, as one of export.LANGUAGES."""
    boxes = [(b, b.replay.behavior) for b in analysis.boxes if b.replay]
    return [captured(language, behavior, b.behavior, b.translations, b.assumed) for b, behavior in boxes]


def _clocks(boxes: list[Box]) -> list[Clock]:
    """Each point's clock against the first point's: steps from neighbour to neighbour, added up."""
    known = [Clock(0, 0, 0)]
    for box in boxes:
        before, step = known[-1], box.crossing.clock
        if before.offset_ns is None or step.offset_ns is None:
            known.append(Clock(None, 0, None, step.support, step.notes))
            continue
        sure = None if before.uncertainty_ns is None or step.uncertainty_ns is None else before.uncertainty_ns + step.uncertainty_ns
        known.append(Clock(before.offset_ns + step.offset_ns, before.drift_ppb + step.drift_ppb, sure, step.support, step.notes))
    return known


MARKS = (
    (Flag.CUT, "cut by the capture's snapshot length"),
    (Flag.SHORT, "with a header that ends beyond the captured bytes"),
    (Flag.BAD, "with a header that contradicts itself"),
    (Flag.OTHER_LINK, "of a protocol above the link, or a link type, that is not decoded"),
    (Flag.PROTECTED, "whose body is encrypted on the link (802.11, MACsec): what they carry is not known"),
    (Flag.DEEP, "with more tunnels in one another than are followed"),
    (Flag.FRAGMENT, "that are IP fragments; only the first of a datagram is counted in its conversation, as in Wireshark"),
    (Flag.NO_TIME, "without a time in the file"),
    (Flag.BAD_TIME, "with a time beyond the year 2116"),
)


def _notes(ports: list[Port], boxes: list[Box]) -> list[str]:
    notes = list(dict.fromkeys(problem for port in ports for problem in port.problems))  # a file may belong to several points
    for box in boxes:
        c = box.crossing
        notes += [f"{c.here.name} and {c.there.name}: {said}" for said in (c.identity.says() if c.identity else ())]
        if turned(box.translations):
            notes.append(f"{c.there.name} is inside of {c.here.name}, as addresses and TTLs tell: give the points from the inside out")
    for port in ports:
        for flag, says in MARKS:
            if count := int((port.packets.flags & int(flag) != 0).sum()):
                notes.append(f"{port.name}: {count} frames {says}")
        if port.stray_fragments:
            notes.append(f"{port.name}: {port.stray_fragments} fragments belong to no conversation: their first one was not seen")
    return notes


def _unread(ports: list[Port], said: list[Messages]) -> list[str]:
    """Messages that nothing could be made of, by topic."""
    notes = []
    for port, m in zip(ports, said, strict=True):
        for counts, what in (
            (m.malformed, "that make no sense"),
            (m.cut, "that the capture cut off too early to be read"),
            (m.left, "that found no room and were not read"),
            (m.unread, "beyond the number that is read"),
        ):
            notes += [f"{port.name}: {n} {topic.label} messages {what}" for topic, n in counts.items()]
    return notes
