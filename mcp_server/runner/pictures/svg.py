"""An SVG of a stranger's as a picture and nothing else: read, and written anew from what is known to only draw. Pure.

Nothing is copied that is not on a list: elements, attributes, functions within values. Scripts, styles, links, images,
foreign objects, animations and `use` (which can stand for a billion shapes) are left out with what they hold.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from html import escape  # xml.sax's brings an HTTP client with it, into every run's start
from xml.parsers import expat

from mcp_server.nouns.text import clean_block, scrub

NAMESPACE = "http://www.w3.org/2000/svg"
MOST_ELEMENTS, MOST_DEPTH, MOST_NAMED = 50_000, 64, 5
MOST_PIXELS = 4096.0  # of a side, as it is shown
SHAPES = frozenset(("path", "rect", "circle", "ellipse", "line", "polyline", "polygon"))
WORDS = frozenset(("text", "tspan", "title", "desc"))
HELD = frozenset(("g", "defs", "linearGradient", "radialGradient", "stop", "clipPath"))
ELEMENTS = SHAPES | WORDS | HELD
_GEOMETRY = (
    "x y width height cx cy r rx ry x1 y1 x2 y2 fx fy fr d points dx dy rotate textLength lengthAdjust pathLength "
    "transform gradientUnits gradientTransform spreadMethod offset clipPathUnits id"
)
_PRESENTATION = (
    "fill fill-opacity fill-rule stroke stroke-width stroke-opacity stroke-dasharray stroke-dashoffset stroke-linecap "
    "stroke-linejoin stroke-miterlimit opacity color font-family font-size font-weight font-style text-anchor "
    "dominant-baseline letter-spacing word-spacing clip-path clip-rule stop-color stop-opacity display visibility "
    "paint-order vector-effect shape-rendering text-rendering alignment-baseline baseline-shift"
)
GEOMETRY, PRESENTATION = frozenset(_GEOMETRY.split()), frozenset(_PRESENTATION.split())
REFERRING = frozenset(("fill", "stroke", "clip-path"))
UNSAID = frozenset(("version", "baseProfile", "class", "role", "preserveAspectRatio", "viewBox", "width", "height"))
FUNCTIONS = frozenset(("rgb", "rgba", "hsl", "hsla", "translate", "scale", "rotate", "matrix", "skewX", "skewY"))
_LOCAL = re.compile(r"url\(\s*(['\"]?)#[A-Za-z][\w.-]*\1\s*\)(?:\s+none)?")
_VALUE = re.compile(r"[\w.,#%()+\-'\"\s]*", re.ASCII)
_LENGTH = re.compile(r"\s*(\d{1,9}(?:\.\d{0,9})?)(px|pt|pc|mm|cm|in)?\s*")
_PIXELS = {None: 1.0, "px": 1.0, "pt": 4 / 3, "pc": 16.0, "mm": 96 / 25.4, "cm": 96 / 2.54, "in": 96.0}


class Unfit(ValueError):
    """It is no picture that may be shown; the argument is why, as the end of a sentence."""


class _Writer:
    """Hears the parser and writes what may stay; `left_out` names the rest, each once."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.left_out: dict[str, None] = {}
        self.drawn = 0
        self._open: list[str] = []
        self._skipped = 0  # how deep we are in something that is left out
        self._elements = 0

    def doctype(self, name: str, system: str | None, public: str | None, internal: int) -> None:
        if internal:
            raise Unfit("it declares entities or a document type of its own")

    def entity(self, *declared: object) -> None:
        raise Unfit("it declares entities")

    def instruction(self, target: str, data: str) -> None:
        self._leave(f"<?{target}?>")

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._elements += 1
        if self._elements > MOST_ELEMENTS or len(self._open) + self._skipped >= MOST_DEPTH:
            raise Unfit(f"it has more than {MOST_ELEMENTS:,} elements, or they are nested deeper than {MOST_DEPTH}")
        tag = name.removeprefix(f"{NAMESPACE} ")
        if not self._open:
            if tag != "svg":
                raise Unfit("its outermost element is not svg")
            self._write("svg", self._kept(tag, attributes), _size(attributes))
        elif self._skipped or tag not in ELEMENTS:
            if not self._skipped:
                self._leave(tag.rpartition(" ")[2])
            self._skipped += 1
        else:
            self.drawn += tag in SHAPES or tag == "text"
            self._write(tag, self._kept(tag, attributes))

    def end(self, name: str) -> None:
        if self._skipped:
            self._skipped -= 1
        else:
            self.parts.append(f"</{self._open.pop()}>")

    def text(self, words: str) -> None:
        if not self._skipped and self._open and self._open[-1] in WORDS:
            self.parts.append(escape(scrub(words).text))

    def _write(self, tag: str, attributes: Mapping[str, str], size: Mapping[str, str] | None = None) -> None:
        told = {**(size or {}), **attributes}
        self._open.append(tag)
        words = "".join(f' {name}="{escape(value)}"' for name, value in told.items())
        self.parts.append(f"<{tag}{words}>")

    def _kept(self, tag: str, attributes: Mapping[str, str]) -> dict[str, str]:
        """The attributes that may stay; what `style` says becomes attributes, which it would go before."""
        told = {name: value for name, value in attributes.items() if name != "style"}
        for one in attributes.get("style", "").split(";"):
            name, colon, value = one.partition(":")
            if colon:
                told[name.strip()] = value.removesuffix("!important").strip()
        in_a_clip = "clipPath" in (*self._open, tag)
        allowed = PRESENTATION if tag == "svg" else PRESENTATION | GEOMETRY
        kept = {}
        for name, value in told.items():
            # one clip within another could be followed without end
            if name in allowed and _only_draws(name, value) and not (in_a_clip and name == "clip-path"):
                kept[name] = value
            elif name.endswith(" href"):
                self._leave("href")
            elif not (
                name in UNSAID
                or (tag == "svg" and name in GEOMETRY)
                or " " in name
                or name.startswith(("data-", "aria-", "-"))
            ):
                self._leave(name)
        return kept

    def _leave(self, name: str) -> None:
        self.left_out[name[:40]] = None


def _only_draws(name: str, value: str) -> bool:
    """Whether a value is numbers, words and known functions; a reference may lead to this very picture alone."""
    if name in REFERRING and _LOCAL.fullmatch(value.strip()):
        return True
    called = re.findall(r"([\w-]*)\s*\(", value)
    return _VALUE.fullmatch(value) is not None and FUNCTIONS.issuperset(called)


def _size(attributes: Mapping[str, str]) -> dict[str, str]:
    """The root's name space, box and size in pixels, made smaller where it is too large to be shown."""
    found = [_LENGTH.fullmatch(attributes.get(name, "")) for name in ("width", "height")]
    sides = [float(one[1]) * _PIXELS[one[2]] for one in found if one is not None]
    try:
        box = [float(part) for part in attributes.get("viewBox", "").replace(",", " ").split()]
    except ValueError:
        box = []
    if len(box) != 4 or not all(math.isfinite(part) for part in box) or min(box[2:]) <= 0:
        box = [0.0, 0.0, *sides] if len(sides) == 2 else []
    if not box or min(box[2:]) <= 0:
        raise Unfit("it says neither a viewBox nor width and height")
    if len(sides) != 2 or min(sides) <= 0:
        sides = box[2:]
    shrink = min(1.0, MOST_PIXELS / max(sides))
    width, height = (max(1.0, round(side * shrink, 3)) for side in sides)
    return {
        "xmlns": NAMESPACE,
        "viewBox": " ".join(f"{part:.9g}" for part in box),
        "width": f"{width:g}",
        "height": f"{height:g}",
    }


def clean_svg(content: bytes) -> tuple[bytes, str]:
    """The picture written anew, and what was left out of it, in words. Raises Unfit."""
    parser, writer = expat.ParserCreate(namespace_separator=" "), _Writer()
    parser.StartDoctypeDeclHandler, parser.EntityDeclHandler = writer.doctype, writer.entity
    parser.StartElementHandler, parser.EndElementHandler = writer.start, writer.end
    parser.CharacterDataHandler, parser.ProcessingInstructionHandler = writer.text, writer.instruction
    parser.buffer_text = True
    try:
        parser.Parse(content, True)
    except Unfit:
        raise
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise Unfit(f"it is no XML ({error})") from None
    if not writer.drawn:
        raise Unfit("it draws nothing")
    names = list(writer.left_out)
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    said = f"Left out of the picture: {', '.join(names[:MOST_NAMED])}{more}." if names else ""
    return "".join(writer.parts).encode(), said


COLUMNS, LINES, COLUMN_PIXELS, LINE_PIXELS, EDGE_PIXELS = 96, 60, 7.9, 18, 12


def drawn_text(text: str) -> bytes:
    """Plain text as a picture: so many columns and lines of it, the rest is counted."""
    block = clean_block(text, 4 * COLUMNS * LINES)
    lines = [line[at : at + COLUMNS] for line in block.split("\n") for at in range(0, max(1, len(line)), COLUMNS)]
    if len(lines) > LINES:
        lines = [*lines[: LINES - 1], f"… {len(lines) - LINES + 1:,} more lines"]
    if not block:
        raise Unfit("it is empty")
    width = round(2 * EDGE_PIXELS + COLUMN_PIXELS * max(map(len, lines)))
    height = 2 * EDGE_PIXELS + LINE_PIXELS * len(lines)
    words = "".join(
        f'<text x="{EDGE_PIXELS}" y="{EDGE_PIXELS + LINE_PIXELS * (place + 0.75):g}">'
        f"{escape(line.replace(' ', chr(0xA0)))}</text>"  # a renderer would fold plain spaces
        for place, line in enumerate(lines)
    )
    return (
        f'<svg xmlns="{NAMESPACE}" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="monospace" font-size="13"><rect width="{width}" height="{height}" fill="white"/>{words}</svg>'
    ).encode()
