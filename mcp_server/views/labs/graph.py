"""The kept attempts of all labs as one SVG file: a lane for each lab, what is built on to the left, adoptions dashed.

A picture that needs nothing else: no script, no font, no link. It follows the reader's light or dark scheme, and says
the same in words inside. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from mcp_server.memory.wording import signed
from mcp_server.nouns.exchanged import SHORT
from mcp_server.nouns.numbers import counted
from mcp_server.nouns.text import clean_line
from mcp_server.views.chart.style import PALETTES
from mcp_server.views.labs.lineage import Graph

MOST_NODES = 600  # that a reader can follow; beyond that the lines to each lab's best, then the newest
STEP, ROW, RADIUS = 36, 26, 7
LEFT, TOP, BOTTOM, RIGHT = 170, 64, 66, 40
NARROWEST = 940
NAME_CHARACTERS = 20


@dataclass(frozen=True)
class Node:
    """Where one attempt stands: its column, and its row from the top."""

    name: str
    column: int
    row: int


@dataclass(frozen=True)
class Layout:
    """All nodes, the rows at which each lab's lane begins, and how many there are in all."""

    nodes: Mapping[str, Node]
    lanes: Sequence[tuple[str, int, int]]  # lab, first row, rows
    above: Mapping[str, str]
    adopted: Mapping[str, tuple[str, ...]]
    left_out: int = 0

    @property
    def columns(self) -> int:
        return 1 + max((one.column for one in self.nodes.values()), default=0)

    @property
    def rows(self) -> int:
        return sum(rows for _, _, rows in self.lanes)


def layout(found: Graph, most: int = MOST_NODES) -> Layout:
    """Columns so that every line goes to the right, lanes in order of the labs' bests."""
    chosen = _chosen(found, most)
    above = {name: parent for name in chosen if (parent := _nearest(found, name, chosen))}
    adopted = {
        name: tuple(other for other in found.adopted.get(name, ()) if other in chosen)
        for name in found.kept
        if name in chosen
    }
    column = _columns(chosen, above, adopted, found)
    labs = [found.kept[tip].lab for tip in found.tips]
    nodes: dict[str, Node] = {}
    lanes = []
    first = 0
    for lab in labs:
        mine = sorted((name for name in chosen if found.kept[name].lab == lab), key=lambda name: (column[name], name))
        slots: dict[str, int] = {}
        taken: set[tuple[int, int]] = set()
        for name in mine:
            slot = slots.get(above.get(name, ""), 0)
            while (column[name], slot) in taken:
                slot += 1
            slots[name] = slot
            taken.add((column[name], slot))
            nodes[name] = Node(name, column[name], first + slot)
        rows = 1 + max(slots.values(), default=0)
        lanes.append((lab, first, rows))
        first += rows
    return Layout(nodes, lanes, above, adopted, len(found.kept) - len(chosen))


def _chosen(found: Graph, most: int) -> set[str]:
    if len(found.kept) <= most:
        return set(found.kept)
    chosen: set[str] = set()
    tips = found.tips
    for tip in tips:
        chosen.update(found.line(tip)[-max(2, most // (2 * len(tips))) :])
    newest = sorted(found.kept, key=lambda name: (found.kept[name].at, name), reverse=True)
    for name in newest:
        if len(chosen) >= most:
            break
        chosen.add(name)
    return chosen


def _nearest(found: Graph, name: str, chosen: set[str]) -> str:
    """The nearest thing above that is drawn; "" for a beginning."""
    at = found.above.get(name, "")
    while at and at not in chosen:
        at = found.above.get(at, "")
    return at


def _columns(
    chosen: set[str], above: Mapping[str, str], adopted: Mapping[str, tuple[str, ...]], found: Graph
) -> dict[str, int]:
    """Steps from the left; what takes something over stands to the right of it, as far as no circle forbids it."""
    column: dict[str, int] = {}
    for name in found.kept:  # parents come first
        if name in chosen:
            column[name] = 1 + column[above[name]] if name in above else 0
    for _ in range(len(adopted)):
        moved = False
        for name in found.kept:
            if name not in chosen:
                continue
            before = [column[other] for other in adopted.get(name, ())]
            before += [column[above[name]]] if name in above else []
            wanted = 1 + max(before, default=-1)
            if column[name] < wanted <= len(chosen):
                column[name], moved = wanted, True
        if not moved:
            break
    return column


# --- drawing ----------------------------------------------------------------------------------------------------------


def svg(found: Graph, names: Mapping[str, str], status: Mapping[str, str] | None = None, most: int = MOST_NODES) -> str:
    """The picture. names: what labs are called, by id; status: of the claims that are known, by LAB/n."""
    placed = layout(found, most)
    best = set(found.line(found.tips[0])) if found.tips else set()
    width = max(NARROWEST, LEFT + placed.columns * STEP + RIGHT)
    height = TOP + max(1, placed.rows) * ROW + BOTTOM
    said = _words(found, placed, names)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        ' role="img" aria-labelledby="title description">',
        f'<title id="title">{escape(said[0])}</title><desc id="description">{escape(" ".join(said))}</desc>',
        f"<style>{_style()}</style>",
        f'<rect class="ground" width="{width}" height="{height}"/>',
        f'<text class="head" x="20" y="28">{escape(said[0])}</text>',
        f'<text class="faint" x="20" y="46">{escape(said[1])}</text>',
        *(_lane(lane, place, names, width, found) for place, lane in enumerate(placed.lanes)),
        *(_edge(placed, name, other, "over") for name, others in placed.adopted.items() for other in others),
        *(_edge(placed, name, above, _kind(found, name, above, best)) for name, above in placed.above.items()),
        *(_node(found, placed.nodes[name], best, names, status or {}) for name in placed.nodes),
        _legend(height),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _style() -> str:
    def block(theme: str) -> str:
        palette = PALETTES["dark" if theme == "dark" else "light"]
        kinds = palette.kinds
        return (
            f".ground{{fill:{palette.background}}}text{{fill:{palette.text};font:13px system-ui,sans-serif}}"
            f".head{{font-size:16px;font-weight:600}}.faint{{fill:{palette.faint};font-size:12px}}"
            f".band{{fill:{palette.faint};opacity:.09}}.edge{{stroke:{palette.faint};stroke-width:1.5;fill:none}}"
            f".over{{stroke:{kinds['provisional']};stroke-dasharray:5 4}}"
            f".best{{stroke:{palette.line};stroke-width:3.5}}.best.over{{stroke:{kinds['provisional']}}}"
            f".node{{fill:{palette.background};stroke:{palette.faint};stroke-width:2}}"
            f".own{{fill:{palette.faint}}}.top{{stroke:{palette.line};stroke-width:3}}.top.own{{fill:{palette.line}}}"
            f".replicated{{stroke:{kinds['confirmed']}}}.replicated.own{{fill:{kinds['confirmed']}}}"
            f".refuted{{stroke:{kinds['crashed']}}}.refuted.own{{fill:{kinds['crashed']}}}"
        )

    return f"{block('light')}@media(prefers-color-scheme:dark){{{block('dark')}}}"


def _words(found: Graph, placed: Layout, names: Mapping[str, str]) -> tuple[str, str]:
    adoptions = sum(map(len, found.adopted.values()))
    adoptions += sum(found.kept[name].lab != found.kept[above].lab for name, above in found.above.items())
    labs = len({one.lab for one in found.kept.values()})
    head = f"{len(found.kept):,} kept attempts of {counted(labs, 'lab')}"
    if placed.left_out:
        head += f", {placed.left_out:,} of them not drawn"
    if not found.tips:
        return head, "Nothing was kept yet."
    best = found.kept[found.tips[0]]
    whose = _called(names, best.lab)
    return head, (
        f"{adoptions} taken over from another lab; the best line is {whose}'s, "
        f"{signed(found.gathered[best.name])} gathered in {found.depth[best.name]} steps"
    )


def _called(names: Mapping[str, str], lab: str) -> str:
    return clean_line(names.get(lab) or lab[:SHORT], NAME_CHARACTERS)


def _lane(lane: tuple[str, int, int], place: int, names: Mapping[str, str], width: int, found: Graph) -> str:
    lab, first, rows = lane
    top = TOP + first * ROW
    band = f'<rect class="band" x="0" y="{top}" width="{width}" height="{rows * ROW}"/>' if place % 2 == 0 else ""
    own = any(one.own for one in found.kept.values() if one.lab == lab)
    said = f"{_called(names, lab)}{' (this lab)' if own else ''}"
    return f'{band}<text x="20" y="{top + ROW / 2 + 4:g}">{escape(said)}</text>'


def _at(one: Node) -> tuple[float, float]:
    return LEFT + one.column * STEP + STEP / 2, TOP + one.row * ROW + ROW / 2


def _kind(found: Graph, name: str, above: str, best: set[str]) -> str:
    over = "over" if found.kept[name].lab != found.kept[above].lab else ""
    return f"best {over}".strip() if name in best and above in best else over


def _edge(placed: Layout, name: str, above: str, kind: str) -> str:
    (x1, y1), (x2, y2) = _at(placed.nodes[above]), _at(placed.nodes[name])
    middle = (x1 + x2) / 2
    path = f"M{x1:g} {y1:g}C{middle:g} {y1:g} {middle:g} {y2:g} {x2:g} {y2:g}"
    return f'<path class="edge {kind}" d="{path}"/>'


def _node(found: Graph, at: Node, best: set[str], names: Mapping[str, str], status: Mapping[str, str]) -> str:
    one = found.kept[at.name]
    x, y = _at(at)
    judged = status.get(at.name, "")
    kind = " ".join(
        filter(None, ("node", "own" if one.own else "", "top" if at.name in best else "", judged.replace(" ", "-")))
    )
    gain = "" if one.gain is None or one.role == "baseline" else f" {signed(one.gain)}"
    said = f"{_called(names, one.lab)}/{one.n}{gain}{f', {judged}' if judged else ''}: “{clean_line(one.text, 120)}”"
    others = [other for other in found.adopted.get(at.name, ()) if other in found.kept]
    if others:
        whose = ", ".join(f"{_called(names, found.kept[other].lab)}/{found.kept[other].n}" for other in others)
        said += f", adopted from {whose}"
    if one.role == "baseline":
        corner = RADIUS + 1
        shape = (
            f'<path class="{kind}" d="M{x:g} {y - corner:g}l{corner} {corner}l-{corner} {corner}l-{corner} -{corner}z">'
        )
        return f"{shape}<title>{escape(said)}</title></path>"
    return f'<circle class="{kind}" cx="{x:g}" cy="{y:g}" r="{RADIUS}"><title>{escape(said)}</title></circle>'


def _legend(height: int) -> str:
    y = height - 28
    entries = (
        ('<path class="node" d="M0 -8l8 8l-8 8l-8 -8z"/>', "beginning", 96),
        ('<circle class="node own" r="7"/>', "kept by this lab", 138),
        ('<circle class="node" r="7"/>', "kept by another", 130),
        ('<circle class="node replicated" r="7"/>', "replicated", 102),
        ('<circle class="node refuted" r="7"/>', "refuted", 84),
        ('<path class="edge best" d="M-12 0h24"/>', "line of the best", 136),
        ('<path class="edge over" d="M-12 0h24"/>', "taken over from another lab", 200),
    )
    parts, x = [], 32
    for shape, words, room in entries:
        parts.append(f'<g transform="translate({x} {y})">{shape}<text class="faint" x="16" y="4">{words}</text></g>')
        x += room
    return "".join(parts)
