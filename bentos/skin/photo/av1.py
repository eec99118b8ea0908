"""The largest frame that an AVIF file has its decoder make: libavif, as Pillow builds it, allows 268 megapixels.

The size that the container states binds nobody: the frame is decoded as large as its bitstream says, then scaled.
"""

import struct
from collections.abc import Iterator

MAX_ITEMS = 1000
_SEQUENCE_HEADER = 1


class _Bits:
    """Reads numbers of bits, the highest first.

    Raises:
        ValueError: the data end.
    """

    def __init__(self, data: bytes) -> None:
        self._bits = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def read(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise ValueError("the sequence header ends early")
        return self._bits >> self._left & ((1 << count) - 1)

    def read_uvlc(self) -> int:
        """A variable-length number (AV1 specification, 4.10.3)."""
        zeros = 0
        while not self.read(1):
            zeros += 1
        return (1 << zeros) - 1 + self.read(zeros) if zeros < 32 else (1 << 32) - 1


def largest_frame(data: bytes) -> int:
    """The pixels of the largest frame that any AV1 item of a file may hold.

    Args:
        data: a whole AVIF file.

    Returns:
        Its width × height, by the sequence headers: frames may be smaller, never larger (AV1 specification, 5.5.1).

    Raises:
        ValueError, struct.error: boxes or bitstream are not as the specifications say, or an item has no such header.
    """
    meta = next(body for kind, body in _boxes(data, 0, len(data)) if kind == b"meta")
    boxes = dict(_boxes(data, meta.start + 4, meta.stop))
    if b"iinf" not in boxes or b"iloc" not in boxes:
        raise ValueError("no items")
    pictures = set(_av1_items(data, boxes[b"iinf"]))
    items = _items(data, boxes[b"iloc"], boxes.get(b"idat", range(0)))
    return max(max(_frame_sizes(item)) for number, item in items if number in pictures)  # none: max() raises


def _boxes(data: bytes, start: int, stop: int) -> Iterator[tuple[bytes, range]]:
    """Kind and content of each box (ISO/IEC 14496-12, 4.2)."""
    while start + 8 <= stop:
        size, kind = struct.unpack_from(">I4s", data, start)
        head = 8
        if size == 1:
            size, head = struct.unpack_from(">Q", data, start + 8)[0], 16
        elif size == 0:
            size = stop - start
        if size < head or start + size > stop:
            raise ValueError("a box ends behind what holds it")
        yield kind, range(start + head, start + size)
        start += size


def _av1_items(data: bytes, box: range) -> Iterator[int]:
    """The numbers of the items that are AV1 pictures (ISO/IEC 14496-12, 8.11.6)."""
    version = data[box.start]
    start = box.start + (6 if version == 0 else 8)
    for kind, entry in _boxes(data, start, box.stop):
        if kind != b"infe" or data[entry.start] < 2:
            continue
        number, _, item_type = struct.unpack_from(">HH4s" if data[entry.start] == 2 else ">IH4s", data, entry.start + 4)
        if item_type == b"av01":
            yield number


def _items(data: bytes, box: range, inline: range) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of each item (ISO/IEC 14496-12, 8.11.3)."""
    version, (widths, more_widths) = data[box.start], data[box.start + 4 : box.start + 6]
    offset_bytes, length_bytes, base_bytes = widths >> 4, widths & 15, more_widths >> 4
    index_bytes = more_widths & 15 if version in (1, 2) else 0
    position = box.start + 6

    def number(size: int) -> int:
        nonlocal position
        position += size
        if position > box.stop:
            raise ValueError("the list of items ends early")
        return int.from_bytes(data[position - size : position], "big")

    count = number(4 if version == 2 else 2)
    if version > 2 or count > MAX_ITEMS:
        raise ValueError("a list of items that is not supported")
    for _ in range(count):
        item = number(4 if version == 2 else 2)
        method = number(2) & 15 if version in (1, 2) else 0
        number(2)
        base = number(base_bytes)
        parts: list[bytes] = []
        for _ in range(number(2)):
            number(index_bytes)
            start, length = base + number(offset_bytes), number(length_bytes)
            if method == 1:
                start += inline.start
            stop = start + length if length else len(data)
            if method > 1 or stop > len(data):
                raise ValueError("an item lies outside of the file")
            parts.append(data[start:stop])
        yield item, b"".join(parts)


def _frame_sizes(item: bytes) -> Iterator[int]:
    """Width × height by each sequence header of a bitstream (AV1 specification, 5.3)."""
    position = 0
    while position < len(item):
        header = item[position]
        position += 2 if header & 4 else 1
        size = len(item) - position
        if header & 2:
            size, shift = 0, 0
            while True:
                byte = item[position]
                size |= (byte & 127) << shift
                position, shift = position + 1, shift + 7
                if byte < 128 or shift > 28:
                    break
        if header >> 3 & 15 == _SEQUENCE_HEADER:
            yield _frame_size(_Bits(item[position : position + min(size, 256)]))
        position += size


def _frame_size(bits: _Bits) -> int:
    """Width × height of a sequence header (AV1 specification, 5.5.1)."""
    bits.read(4)  # profile, still picture
    if bits.read(1):  # reduced header of a still picture
        bits.read(5)
    else:
        delays = 0
        decoder_model = False
        if bits.read(1):  # timing
            bits.read(32)
            bits.read(32)
            if bits.read(1):
                bits.read_uvlc()
            decoder_model = bool(bits.read(1))
            if decoder_model:
                delays = bits.read(5) + 1
                bits.read(32 + 5 + 5)
        display_delay = bits.read(1)
        for _ in range(bits.read(5) + 1):  # operating points
            bits.read(12)
            if bits.read(5) > 7:
                bits.read(1)
            if decoder_model and bits.read(1):
                bits.read(2 * delays + 1)
            if display_delay and bits.read(1):
                bits.read(4)
    width_bits, height_bits = bits.read(4) + 1, bits.read(4) + 1
    return (bits.read(width_bits) + 1) * (bits.read(height_bits) + 1)
