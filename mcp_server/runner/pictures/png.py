"""A PNG of a stranger's as pixels and nothing else: every chunk checked, those that only tell left out. Pure.

Source of the format: W3C, Portable Network Graphics (third edition), chapters 5 and 11.
"""

from __future__ import annotations

import struct
import zlib

from mcp_server.runner.pictures.svg import Unfit

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MOST_SIDE, MOST_PIXELS = 4096, 4_000_000
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
KEPT = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
LAST_FILTER = 4


def clean_png(content: bytes) -> bytes:
    """The same pixels, without text, times, profiles or anything after the end. Raises Unfit."""
    if not content.startswith(SIGNATURE):
        raise Unfit("it has not the signature of a PNG")
    chunks = _chunks(content)
    if not chunks or chunks[0][0] != b"IHDR" or len(chunks[0][1]) != 13:
        raise Unfit("it does not begin with its header")
    kinds = [kind for kind, _ in chunks]
    if any(kinds.count(kind) > 1 for kind in (b"IHDR", b"PLTE", b"tRNS")) or b"IDAT" not in kinds:
        raise Unfit("its parts are not those of one picture")
    width, height, depth, colour, compression, filtering, interlaced = struct.unpack(">IIBBBBB", chunks[0][1])
    if not (0 < width <= MOST_SIDE and 0 < height <= MOST_SIDE and width * height <= MOST_PIXELS):
        raise Unfit(f"it is {width} × {height}; {MOST_SIDE} a side and {MOST_PIXELS:,} pixels are allowed")
    if depth not in DEPTHS.get(colour, ()) or compression or filtering or interlaced:
        raise Unfit("it is interlaced, or of a kind that does not exist")
    told = dict(chunks)
    palette, clear = told.get(b"PLTE", b""), told.get(b"tRNS", b"")
    if len(palette) % 3 or len(palette) > 768 or len(clear) > 256 or (colour == 3 and not palette):
        raise Unfit("its palette is not one")
    row = 1 + (width * depth * CHANNELS[colour] + 7) // 8
    pixels = _inflated(b"".join(body for kind, body in chunks if kind == b"IDAT"), row * height, row)
    parts = [_chunk(b"IHDR", chunks[0][1])]
    parts += [_chunk(b"PLTE", palette)] if palette and colour in (2, 3, 6) else []
    parts += [_chunk(b"tRNS", clear)] if clear and colour in (0, 2, 3) else []
    return b"".join([SIGNATURE, *parts, _chunk(b"IDAT", pixels), _chunk(b"IEND", b"")])


def _chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    """Those that are needed, up to the end mark; the sums of all of them hold. Raises Unfit."""
    found, place = [], len(SIGNATURE)
    while place + 12 <= len(content):
        (length,), kind = struct.unpack_from(">I", content, place), content[place + 4 : place + 8]
        body, end = content[place + 8 : place + 8 + length], place + 12 + length
        if end > len(content) or struct.unpack_from(">I", content, end - 4)[0] != zlib.crc32(kind + body):
            raise Unfit("it is cut off or damaged")
        if kind in KEPT:
            found.append((kind, body))
        elif kind[:1].isupper():
            raise Unfit("it has a necessary part that nobody knows")
        if kind == b"IEND":
            return found
        place = end
    raise Unfit("it is cut off or damaged")


def _inflated(packed: bytes, size: int, row: int) -> bytes:
    """The packed pixels as far as they are pixels, after unpacking them, never more than there should be."""
    unpacking = zlib.decompressobj()
    try:
        pixels = unpacking.decompress(packed, size + 1)
    except zlib.error:
        raise Unfit("its pixels cannot be unpacked") from None
    if len(pixels) != size or not unpacking.eof or max(pixels[::row]) > LAST_FILTER:
        raise Unfit("it has not as many pixels as it says")
    return packed[: len(packed) - len(unpacking.unused_data)]


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
