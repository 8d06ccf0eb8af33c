"""Choosing among candidates, against the rule spelled out: best first, one to one in time, what fits two ways left undecided."""
from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pcapnat.flow.assign import CLEAR_BITS, FEW, assign
from pcapnat.flow.fingerprint import Candidates

Row = tuple[int, int, int, int, int, int, int]
"""Conversation here and there, bits, first time and length here, first time and length there."""


def table(rows: list[Row]) -> Candidates:
    """Candidates of which nothing else matters."""
    c = Candidates.empty(len(rows))
    for i, (here, there, bits, first, span, there_first, there_span) in enumerate(rows):
        c.here[i], c.there[i], c.bits[i], c.packet_bits[i] = here, there, bits, bits
        c.here_first[i], c.here_last[i], c.there_first[i], c.there_last[i] = first, first + span, there_first, there_first + there_span
    return c


def by_the_rule(rows: list[Row]) -> tuple[list[int], list[float], set[int], set[int]]:
    """Every candidate against every other one."""
    def clash(i: int, j: int) -> bool:
        a, b = rows[i], rows[j]
        here = a[0] == b[0] and a[3] <= b[3] + b[4] and b[3] <= a[3] + a[4]
        there = a[1] == b[1] and a[5] <= b[5] + b[6] and b[5] <= a[5] + a[6]
        return here or there
    good = [i for i in range(len(rows)) if rows[i][2] >= 24]
    order = sorted(good, key=lambda i: (-rows[i][2], rows[i][0], rows[i][1], i))
    alone = [i for i in order if sum(rows[j][0] == rows[i][0] for j in good) == sum(rows[j][1] == rows[i][1] for j in good) == 1]
    chosen, margins = list(alone), [float(rows[i][2]) for i in alone]
    rest = [i for i in order if i not in alone]
    taken: list[int] = []
    undecided: list[int] = []
    for i in rest:
        if any(clash(i, j) for j in taken):
            continue
        rivals = [rows[j][2] for j in rest if j != i and clash(i, j) and not any(clash(j, k) or j == k for k in taken)]
        margin = float(rows[i][2] - max(rivals, default=0))
        if margin < CLEAR_BITS:
            undecided.append(i)
        else:
            taken.append(i)
            chosen.append(i)
            margins.append(margin)
    here, there = ({rows[i][side] for i in undecided} - {rows[i][side] for i in taken} for side in (0, 1))
    return chosen, margins, here, there


times = st.integers(0, 30)
spans = st.sampled_from([0, 0, 1, 5, 40])
rows = st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(20, 60), times, spans, times, spans)
crowd = st.tuples(st.just(0), st.integers(0, 30), st.integers(20, 60), times, spans, times, spans)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.lists(rows, max_size=12), st.lists(crowd, max_size=3 * FEW), st.lists(st.one_of(rows, crowd), max_size=3 * FEW)))
def test_assignment_by_the_rule(candidates: list[Row]) -> None:
    """A few candidates of each conversation, or many of one."""
    chosen, margins, here, there = assign(table(candidates))
    assert (chosen.tolist(), margins.tolist(), here, there) == by_the_rule(candidates)
