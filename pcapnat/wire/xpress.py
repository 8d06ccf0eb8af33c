"""Windows' Xpress compression without Huffman codes ([MS-XCA] 2.4), as in compressed buffers of trace logs.

Words of 32 flags, most significant first: 0 is a byte, 1 is a match of 16 bits, 13 for the distance and 3 for the
length. Long lengths go on in a half byte (every second one shares a byte with the one before), then one, two, four bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernel import inner, kernel, load16le, load32le, signed

MOST = 256
"""The most bytes made of one: traces reach 10, a file that promises more is damaged or hostile."""


def unpack(data: bytes, size: int) -> bytes:
    """What `data` holds unpacked, at most `size` bytes; less if it ends early or contradicts itself."""
    size = min(size, len(data) * MOST)
    if unpack_kernel.native is None:
        return unpack_plain(data, size)
    out = np.zeros(size, np.uint8)
    return out[: unpack_kernel(np.frombuffer(data, np.uint8), len(data), out, size)].tobytes()


@inner
def _byte(src: Any, at: int) -> int:
    return signed(src[at])


@kernel(src="u1", end="int", out="u1", size="int")
def unpack_kernel(src: Any, end: int, out: Any, size: int) -> int:
    """Unpack src[:end] to out[:size]; returns the bytes made."""
    at = 0
    made = 0
    flags = 0
    left = 0
    shared = -1
    while made < size:
        if left == 0:
            if at + 4 > end:
                break
            flags = load32le(src, at)
            at += 4
            left = 32
        left -= 1
        if flags >> left & 1 == 0:
            if at >= end:
                break
            out[made] = src[at]
            at += 1
            made += 1
            continue
        if at + 2 > end:
            break
        distance = (load16le(src, at) >> 3) + 1
        length = load16le(src, at) & 7
        at += 2
        if length == 7:
            if shared < 0:
                if at >= end:
                    break
                shared = at
                length = _byte(src, at) & 15
                at += 1
            else:
                length = _byte(src, shared) >> 4
                shared = -1
            if length == 15:
                if at >= end:
                    break
                length = _byte(src, at)
                at += 1
                if length == 255:
                    if at + 2 > end:
                        break
                    length = load16le(src, at)
                    at += 2
                    if length == 0:
                        if at + 4 > end:
                            break
                        length = load32le(src, at)
                        at += 4
                    if length < 22:
                        break
                    length -= 22
                length += 15
            length += 7
        length += 3
        if distance > made:
            break
        if length > size - made:
            length = size - made
        for i in range(made, made + length):
            out[i] = out[i - distance]
        made += length
    return made


def unpack_plain(data: bytes, size: int) -> bytes:
    """The same by slices of bytes: what it costs depends on `data`'s length, not on `size`."""
    out = bytearray()
    at = flags = left = 0
    shared = -1
    try:
        while len(out) < size:
            if not left:
                flags, at, left = _number(data, at, 4), at + 4, 32
            left -= 1
            if not flags >> left & 1:
                out.append(data[at])
                at += 1
                continue
            token, at = _number(data, at, 2), at + 2
            distance, length = (token >> 3) + 1, token & 7
            if length == 7:
                if shared < 0:
                    shared, length, at = at, data[at] & 15, at + 1
                else:
                    shared, length = -1, data[shared] >> 4
                if length == 15:
                    length, at = data[at], at + 1
                    if length == 255:
                        length, at = _number(data, at, 2), at + 2
                        if not length:
                            length, at = _number(data, at, 4), at + 4
                        if length < 22:
                            break
                        length -= 22
                    length += 15
                length += 7
            length = min(length + 3, size - len(out))
            if distance > len(out):
                break
            start = len(out) - distance
            out += out[start : start + length] if distance >= length else (out[start:] * (length // distance + 1))[:length]
    except IndexError:
        pass  # the data ends early
    return bytes(out)


def _number(data: bytes, at: int, size: int) -> int:
    if at + size > len(data):
        raise IndexError
    return int.from_bytes(data[at : at + size], "little")
