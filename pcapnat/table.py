"""Tables: many rows of one kind as named, documented NumPy columns.

A column declares itself (type, meaning, unit, source); the declaration is the documentation, the layout that kernels
are compiled for, and what `pcapnat columns` prints. Plural names are tables (Packets), singular ones rows.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Column:
    """What one column holds: element type, a sentence, and optionally unit, shape of one element and source."""

    dtype: np.dtype[Any]
    says: str
    unit: str = ""
    width: int = 0
    source: str = ""


def column(dtype: str, says: str, *, unit: str = "", width: int = 0, source: str = "") -> Any:
    """Declare a column in a Table's body; width is the number of elements in a row (0: a plain column)."""
    return Column(np.dtype(dtype), says, unit, width, source)


class Table:
    """Base of all tables. Rows are added by the kernels that fill freshly made tables; readers never change one."""

    columns: ClassVar[dict[str, Column]] = {}
    _record: ClassVar[Any] = None

    def __init_subclass__(cls) -> None:
        own = {n: c for n, c in vars(cls).items() if isinstance(c, Column)}
        cls.columns = {**cls.columns, **own}
        for name in own:
            delattr(cls, name)

    def __init__(self, **arrays: Array):
        if arrays.keys() != self.columns.keys():
            raise TypeError(f"{type(self).__name__} needs exactly the columns {', '.join(self.columns)}")
        lengths = {len(a) for a in arrays.values()}
        if len(lengths) > 1:
            raise ValueError(f"columns of {type(self).__name__} differ in length: {sorted(lengths)}")
        self.__dict__.update(arrays)

    @classmethod
    def empty(cls, rows: int) -> Self:
        """A table of `rows` zero rows."""
        return cls(**{n: np.zeros((rows, c.width) if c.width else rows, c.dtype) for n, c in cls.columns.items()})

    def __len__(self) -> int:
        return len(getattr(self, next(iter(self.columns))))

    def take(self, rows: Any) -> Self:
        """The rows given by a slice, mask or index array, as a new table (copied, so the old one can be reused)."""
        return type(self)(**{n: np.array(getattr(self, n)[rows]) for n in self.columns})

    def part(self, start: int, stop: int) -> Self:
        """Rows start..stop-1 as a table over the same memory."""
        return type(self)(**{n: getattr(self, n)[start:stop] for n in self.columns})

    def grown(self, rows: int) -> Self:
        """A table of `rows` rows that begins with these; this one is emptied, each column freed as soon as it is copied."""
        larger = type(self).empty(0)
        for name, c in self.columns.items():
            old = vars(self).pop(name)
            new = np.zeros((rows, c.width) if c.width else rows, c.dtype)
            new[: len(old)] = old
            vars(larger)[name] = new
        vars(self).clear()
        return larger

    def row(self, index: int) -> Any:
        """One row as a named tuple of scalars (and small arrays for wide columns)."""
        return self.record()(*[getattr(self, n)[index] for n in self.columns])

    @classmethod
    def join(cls, parts: list[Self]) -> Self:
        """All rows of `parts`, in order; of one part alone, the part."""
        if len(parts) < 2:
            return parts[0] if parts else cls.empty(0)
        return cls(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in cls.columns})

    def __getstate__(self) -> dict[str, Array]:
        """What a copy or a pickle holds: the columns, not where they lie in this one's memory."""
        return {n: getattr(self, n) for n in self.columns}

    @classmethod
    def record(cls) -> Any:
        """The named tuple type of one row; kernels get the same shape with one array per field."""
        if cls._record is None or cls._record.__name__ != cls.__name__ + "Row":
            cls._record = namedtuple(cls.__name__ + "Row", list(cls.columns))  # type: ignore[misc]
        return cls._record

    @classmethod
    def kernel_spec(cls) -> dict[str, str]:
        """The columns as a kernel declares arrays."""
        return {n: c.dtype.str[1:] + (f":{c.width}" if c.width else "") for n, c in cls.columns.items()}

    @classmethod
    def describe(cls) -> Iterator[tuple[str, str, str, str]]:
        """(name, type, unit, sentence with source) of every column, for documentation."""
        for name, c in cls.columns.items():
            yield name, c.dtype.name + (f"[{c.width}]" if c.width else ""), c.unit, c.says + (f" ({c.source})" if c.source else "")

    def __getattr__(self, name: str) -> Array:
        # Only reached for names that are no column; tells type checkers that columns are arrays.
        raise AttributeError(f"{type(self).__name__} has no column {name!r}")
