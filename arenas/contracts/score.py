"""F-measure of the flags that a checklist raises in contracts it has never seen, where a miss costs more than an
alarm.

The checklist runs in a process of its own and is given one text after another. A flag counts only with a quotation,
word for word, from the clause that deserves it, so flagging everything finds nothing. Units are contracts.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from asking import Program, code_kb
from clauses import FLAGS, Contract, contracts
from confined import Failed, has_walls, shield
from judging import Judged, ask_judge, run
from units import coarse, drawer, drawn, mean_of, of_split, split

RULES: dict[str, Any] = json.loads(Path("rules.json").read_text("utf-8"))
OWN = "contracts.json"  # in the drawer: contracts of the user's
WIDEST = 1.5  # times the clause that it shows, a quotation may be long


def asked() -> list[Contract]:
    """The user's own contracts of this split, as many as are asked, or shipped ones; the same for all on one seed."""
    draw = drawn("contracts")
    if not (drawer() / OWN).exists():
        return contracts(draw, RULES["contracts"], split() == "test")
    every = [Contract(str(at), one["text"], one["flags"]) for at, one in enumerate(_own())]
    chosen = of_split(every)
    return draw.sample(chosen, min(len(chosen), RULES["contracts"]))


def _own() -> list[dict[str, Any]]:
    return json.loads((drawer() / OWN).read_text("utf-8"))


def plain(text: str) -> str:
    """Words apart by one blank, for quotations that broke their lines otherwise."""
    return " ".join(text.split())


def checked(said: Any, text: str) -> dict[str, str]:
    """The flags raised, each with its quotation. Raises Failed for what is none."""
    names, shortest, longest = known(), RULES["shortest_quote"], RULES["longest_quote"]
    if not isinstance(said, dict) or not all(isinstance(quote, str) for quote in said.values()):
        raise Failed("bad_output", "review must answer {flag: the clause, quoted}.")
    found = {}
    for flag, quote in said.items():
        if flag not in names:
            raise Failed("bad_output", f"There is no such flag. Flags are {', '.join(names)}.")
        found[flag] = plain(quote)
        if not shortest <= len(found[flag]) <= longest:
            raise Failed("bad_output", f"A quotation has {shortest} to {longest} letters.")
        if found[flag] not in plain(text):
            raise Failed("bad_output", "A quotation stands in the contract word for word; this one does not.")
    return found


def known() -> list[str]:
    """The names of all flags."""
    if (drawer() / OWN).exists():
        return sorted({flag for one in _own() for flag in one["flags"]})
    return list(FLAGS)


def counted(contract: Contract, said: dict[str, str]) -> tuple[int, int, int]:
    """(found, missed, false alarms) of one contract. The right flag on the wrong clause is a miss and an alarm."""
    planted, text = {flag: plain(clause) for flag, clause in contract.flags.items()}, plain(contract.text)
    found = {flag for flag, quote in said.items() if flag in planted and same(quote, planted[flag], text)}
    return len(found), len(planted) - len(found), len(said) - len(found)


def same(quote: str, clause: str, text: str) -> bool:
    """Whether a quotation shows this clause: from within it and nowhere else, or all of it with little around.

    "The Supplier may adjust its" may stand in a harmless clause as well, and then points at neither.
    """
    within = quote in clause and text.count(quote) <= text.count(clause) * clause.count(quote)
    return within or (clause in quote and len(quote) <= WIDEST * len(clause))


def f_measure(found: int, missed: int, alarms: int) -> float:
    """1 is perfect. A miss weighs as much as `miss_cost` false alarms: van Rijsbergen's F with beta² = the cost."""
    cost = RULES["miss_cost"]
    whole = (1 + cost) * found + cost * missed + alarms
    return (1 + cost) * found / whole if whole else 1.0


def reviews(chosen: list[Contract]) -> list[dict[str, str]]:
    """What the experiment says of each contract. Raises Failed."""
    command = RULES["reviewer"]["command"]
    if command:  # a model: the checklist is a prompt
        prompt = (Path(os.environ["AUTORESEARCH_SNAPSHOT"]) / "checklist.md").read_text("utf-8")
        return [_by_model(command, prompt, contract.text) for contract in chosen]
    with Program("checklist.py") as program:
        return [checked(program.ask("review", contract.text), contract.text) for contract in chosen]


def _by_model(command: list[str], prompt: str, text: str) -> dict[str, str]:
    said = run(command, f"{prompt}\n\n<contract>\n{text}\n</contract>\n", RULES["reviewer"]["seconds"])
    try:
        found = json.loads(said[said.index("{") : said.rindex("}") + 1])
        return checked(found, text)
    except (ValueError, RecursionError, Failed):
        return {}  # a model that rambles has found nothing


def answer(chosen: list[Contract], said: list[dict[str, str]], judged: Judged | None) -> dict[str, Any]:
    """Score, interval over the contracts, and what stands beside it."""
    counts = [counted(contract, flags) for contract, flags in zip(chosen, said, strict=True)]
    score, interval = mean_of([f_measure(*count) for count in counts])
    found, missed, alarms = (sum(column) for column in zip(*counts, strict=True))
    if judged is not None:
        share = RULES["judge"]["share"]
        score = (1 - share) * score + share * judged.mean / 100
        doubt = (1 - share) * (interval[1] - interval[0]) / 2 + judged.doubt(share) / 100
        interval = [score - doubt, score + doubt]
    secondary = {
        "recall": round(found / max(1, found + missed), 3),
        "precision": round(found / max(1, found + alarms), 3),
        "alarms_each": round(alarms / len(chosen), 3),
        "code_kb": code_kb("checklist.md" if RULES["reviewer"]["command"] else "checklist.py"),  # whichever reviews
        "walls": float(has_walls()),
    }
    return {**coarse(score, interval), "secondary": secondary | (judged.told if judged else {})}


def main() -> int:
    shield()
    try:
        chosen = asked()
        said = reviews(chosen)
        examples = [{"contract": c.text, "flags": flags} for c, flags in list(zip(chosen, said, strict=True))[:5]]
        print(json.dumps(answer(chosen, said, ask_judge(json.dumps(examples), RULES["judge"]))))
    except Failed as failure:
        code, detail = failure.args
        print(json.dumps({"rejected": code, "detail": detail}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
