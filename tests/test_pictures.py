"""Pictures of strangers: what is cleaned out of them, what is refused, and that the rest still draws the same."""

from __future__ import annotations

import struct
import zlib
from xml.etree import ElementTree

import pytest

from mcp_server.runner.pictures.making import PICTURE_BYTES, cleaned
from mcp_server.runner.pictures.png import SIGNATURE
from mcp_server.runner.pictures.svg import Unfit

BEGIN = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 10 10">'
SHAPE = '<rect x="1" y="1" width="2" height="2" fill="red"/>'


def svg(inside: str, begin: str = BEGIN) -> tuple[str, str]:
    """The cleaned picture and what is said of it; it can be read again and stays as it is when it is cleaned again."""
    name, content, said = cleaned("view.svg", f"{begin}{SHAPE}{inside}</svg>".encode())
    ElementTree.fromstring(content)
    assert cleaned(name, content) == (name, content, "")
    return content.decode(), said


# each with a word that may not be found in what is shown, and one that says what was left out
HOSTILE = {
    "a script": ("<script>alert(1)</script>", "alert", "script"),
    "a script of another name space": (
        '<h:script xmlns:h="http://www.w3.org/1999/xhtml">evil()</h:script>',
        "evil",
        "script",
    ),
    "an event": ('<rect width="1" height="1" onload="evil()"/>', "evil", "onload"),
    "a foreign object": ("<foreignObject><p>evil</p></foreignObject>", "evil", "foreignObject"),
    "a picture from elsewhere": ('<image href="http://evil/x.png"/>', "evil", "image"),
    "a picture inside": ('<image href="data:image/png;base64,evil"/>', "evil", "image"),
    "a link": ('<a href="javascript:evil()"><text>click</text></a>', "evil", "a"),
    "a link on a shape": ('<rect width="1" height="1" xlink:href="http://evil"/>', "evil", "href"),
    "a style sheet": ("<style>@import url(http://evil)</style>", "evil", "style"),
    "a style that fetches": (
        '<rect width="1" height="1" style="fill:url(http://evil#a);stroke:blue"/>',
        "evil",
        "fill",
    ),
    "a fill from elsewhere": ('<rect width="1" height="1" fill="url(//evil#a)"/>', "evil", "fill"),
    "a function that fetches": ('<rect width="1" height="1" fill="image-set(evil)"/>', "evil", "fill"),
    "a spelling with backslashes": (r'<rect width="1" height="1" fill="u\72l(evil)"/>', "evil", "fill"),
    "a filter": ('<filter id="f"><feImage href="evil"/></filter><g filter="url(#f)"/>', "evil", "filter"),
    "a billion shapes": ('<defs><g id="a"><use href="#b"/><use href="#b"/></g></defs><use href="#a"/>', "use", "use"),
    "clips within clips": (
        '<clipPath id="a" clip-path="url(#a)"><rect clip-path="url(#a)"/></clipPath>',
        "url",
        "clip-path",
    ),
    "an animation": ('<rect><set attributeName="href" to="evil"/></rect>', "evil", "set"),
    "an instruction": ('<?xml-stylesheet href="evil"?>', "evil", "xml-stylesheet"),
    "a picture in a picture": ('<svg onload="evil()"/>', "evil", "svg"),
    "an element that closes nothing": ("<text>&lt;script&gt;</text><iframe>evil</iframe>", "evil", "iframe"),
    "text that turns around": ("<text>\u202eevil</text><metadata/>", "\u202e", "metadata"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_does_more_than_draw_is_left_out_with_a_word(kind: str) -> None:
    inside, gone, word = HOSTILE[kind]
    text, said = svg(inside)
    assert gone not in text
    assert word in said.removeprefix("Left out of the picture: ").rstrip(".").replace("<?", "").replace("?>", "").split(
        ", "
    )
    assert 'fill="red"' in text


def test_what_only_draws_stays_as_it_is() -> None:
    inside = (
        '<defs><linearGradient id="fade" x2="1"><stop offset="0" stop-color="rgb(1, 2, 3)"/></linearGradient></defs>'
        '<g transform="translate(1 2) rotate(-4.5e1)" style="stroke: #00f; stroke-width: 0.5">'
        '<path d="M0,0 L1-1z" fill="url(#fade)"/>'
        '<text x="1" font-family="\'DejaVu Sans\', serif">a &lt; b &amp; c</text>'
        "</g>"
    )
    text, said = svg(inside)
    assert said == ""
    for part in (
        "translate(1 2)",
        'd="M0,0 L1-1z"',
        'fill="url(#fade)"',
        'stroke="#00f"',
        "a &lt; b &amp; c",
        'id="fade"',
    ):
        assert part in text


def test_a_large_picture_is_shown_smaller_and_units_become_pixels() -> None:
    text, _ = svg("", '<svg xmlns="http://www.w3.org/2000/svg" width="7200pt" height="3600pt">')
    assert 'viewBox="0 0 9600 4800" width="4096" height="2048"' in text


NO_PICTURE = {
    "entities": '<!DOCTYPE svg [<!ENTITY a "aaaa">]><svg viewBox="0 0 1 1"><text>&a;</text></svg>',
    "a file as an entity": '<!DOCTYPE svg [<!ENTITY a SYSTEM "file:///etc/passwd">]><svg><text>&a;</text></svg>',
    "parameters": '<!DOCTYPE svg [<!ENTITY % a SYSTEM "http://evil">%a;]><svg viewBox="0 0 1 1"><rect/></svg>',
    "a page": "<html><body>hello</body></html>",
    "no XML": "\x00\x01",
    "two roots": f"{BEGIN}{SHAPE}</svg><svg/>",
    "nothing drawn": f"{BEGIN}<g/></svg>",
    "no size": f'<svg xmlns="http://www.w3.org/2000/svg">{SHAPE}</svg>',
    "a size that is no number": f'<svg viewBox="0 0 nan inf">{SHAPE}</svg>',
    "depth": BEGIN + "<g>" * 100 + SHAPE + "</g>" * 100 + "</svg>",
    "depth in what is left out": BEGIN + SHAPE + "<a>" * 100 + "</a>" * 100 + "</svg>",
    "many elements": BEGIN + "<g/>" * 60_000 + SHAPE + "</svg>",
    "another coding that does not exist": '<?xml version="1.0" encoding="klingon"?><svg/>',
    "too large": BEGIN + SHAPE + " " * PICTURE_BYTES + "</svg>",
}


@pytest.mark.parametrize("kind", NO_PICTURE)
def test_what_is_no_picture_is_refused_with_a_reason(kind: str) -> None:
    with pytest.raises(Unfit, match=r"\w"):
        cleaned("view.svg", NO_PICTURE[kind].encode())


def test_a_document_type_that_declares_nothing_is_no_harm() -> None:
    name = '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">'
    _, content, _ = cleaned("view.svg", f"{name}{BEGIN}{SHAPE}<text>&unknown;</text></svg>".encode())
    assert b"DOCTYPE" not in content
    assert b"w3.org/Graphics" not in content


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    width: int = 3, height: int = 2, colour: int = 2, pixels: bytes | None = None, more: bytes = b"", **last: bytes
) -> bytes:
    rows = (b"\0" + bytes(3 * width)) * height if pixels is None else pixels
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, last.get("interlaced", b"\0")[0]))
    data = chunk(b"IDAT", zlib.compress(rows) + last.get("hidden", b""))
    return SIGNATURE + header + more + data + chunk(b"IEND", b"") + last.get("after", b"")


def test_a_png_keeps_its_pixels_and_nothing_else() -> None:
    told = chunk(b"tEXt", b"Comment\0<script>evil</script>") + chunk(b"iCCP", b"evil")
    name, content, said = cleaned("view.png", png(more=told, after=b"evil<html>", hidden=b"evil"))
    assert (name, said) == ("view.png", "")
    assert content == png()


NO_PNG = {
    "another format": b"GIF89a",
    "a script": b"<svg onload='evil()'/>",
    "cut off": png()[:-20],
    "a damaged sum": png().replace(b"IDAT", b"IDAX"),
    "no pixels": SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)) + chunk(b"IEND", b""),
    "fewer pixels than said": png(pixels=b"\0" * 5),
    "a bomb": png(pixels=bytes(50_000_000)),
    "a size beyond all bounds": png(width=1 << 31, pixels=b""),
    "nothing wide": png(width=0),
    "a necessary part nobody knows": png(more=chunk(b"EVIL", b"")),
    "two headers": png(more=png()[8:33]),
    "a palette without one": png(colour=3, pixels=b"\0abc\0abc"),
    "a colour that does not exist": png(colour=5),
    "a filter that does not exist": png(pixels=(b"\x09" + bytes(9)) * 2),
    "interlaced": png(interlaced=b"\1"),
}


@pytest.mark.parametrize("kind", NO_PNG)
def test_what_is_no_png_is_refused_with_a_reason(kind: str) -> None:
    with pytest.raises(Unfit, match=r"\w"):
        cleaned("view.png", NO_PNG[kind])


def test_text_is_drawn_as_it_stands_cut_where_it_is_long_and_runs_nothing() -> None:
    name, content, _ = cleaned(
        "view.txt", b"a  <script>evil()</script>\x1b[31m\n" + b"word " * 50 + b"\n" * 3 + b"line\n" * 99
    )
    drawn = ElementTree.fromstring(content)
    lines = [one.text or "" for one in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert name == "view.svg"
    assert lines[0] == "a\u00a0\u00a0<script>evil()</script>"
    assert max(map(len, lines)) == 96
    assert "more lines" in lines[-1].replace("\u00a0", " ")
    assert cleaned("view.svg", content)[2] == ""
    with pytest.raises(Unfit):
        cleaned("view.txt", b" \n\x00")
