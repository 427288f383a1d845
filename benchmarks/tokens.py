"""What the server costs an agent's context: the tool schemas, once, and the results of one iteration, each time.

    python -m benchmarks.tokens

Counted with tiktoken's o200k_base, on what clients show a model: name, description and input schema of each tool, and
the structured content of run_experiment, which waits, and of commit_or_revert with the lesson. The vocabulary comes
from `make clients`; without it three characters count as one token, which is more than any English or JSON needs.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import tiktoken
from mcp import Client

from mcp_server.server import build_server
from tests.e2e.clients import FOLDER
from tests.labs import TRAIN, edit, make_lab

VOCABULARY = FOLDER / "npm" / "node_modules" / "js-tiktoken" / "dist" / "ranks" / "o200k_base.cjs"
CHARACTERS_PER_TOKEN = 3.0
SCHEMA_LIMIT, ITERATION_LIMIT = 2500, 500
SCHEMA_BYTES, ITERATION_BYTES = 5231, 1100  # what they were before, and what an iteration may cost
Counter = Callable[[str], int]

# reports a training curve as a language model's loader does, so that replies are as long as they get
REPORTING = (
    TRAIN
    + """
if "AUTORESEARCH_MARKS" in os.environ:
    with os.fdopen(int(os.environ["AUTORESEARCH_MARKS"]), "w") as marks:
        print(json.dumps({"event": "start"}), file=marks)
        for step in range(1, 401):
            print(json.dumps({"event": "step", "step": step, "tokens": step * 2048, "loss": 2 + 9 / step}), file=marks)
"""
)


def counter() -> tuple[Counter, str]:
    """How to count, and its name."""
    if not VOCABULARY.exists():
        return lambda text: round(len(text) / CHARACTERS_PER_TOKEN), f"{CHARACTERS_PER_TOKEN:g} characters a token"
    data = json.loads(VOCABULARY.read_text().removeprefix("module.exports = ").rstrip().rstrip(";"))
    ranks: dict[bytes, int] = {}
    for line in data["bpe_ranks"].split("\n"):
        _, first, *tokens = line.split(" ")
        ranks.update((base64.b64decode(token), int(first) + i) for i, token in enumerate(tokens))
    encoding = tiktoken.Encoding(
        "o200k_base", pat_str=data["pat_str"], mergeable_ranks=ranks, special_tokens=data["special_tokens"]
    )
    return lambda text: len(encoding.encode(text, disallowed_special=())), "o200k_base"


def compact(data: object) -> str:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False)


async def shown(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """(tool schemas, results of one iteration) as text, by tool."""
    lab = make_lab(folder / "lab", train=REPORTING)
    async with Client(build_server(folder / "lab")) as client:
        tools = (await client.list_tools()).tools
        schemas = {
            tool.name: compact({"name": tool.name, "description": tool.description, "input_schema": tool.input_schema})
            for tool in tools
        }

        async def ask(tool: str, **arguments: Any) -> str:
            result = await client.call_tool(tool, arguments)
            assert not result.is_error, result.content
            return compact(result.structured_content)

        await ask("start_campaign", tag="count")
        await ask("read_score", experiment=1, wait_seconds=120)
        edit(lab, KNOB=2.0)
        results = {
            "run_experiment": await ask(
                "run_experiment",
                description="twice the knob: 1.0 to 2.0, everything else as it was",
                hypothesis="The curve is still steep at the end, so a larger knob should bring the loss down further.",
                expected_delta=2.5,
                wait_seconds=120,
            ),
            "commit_or_revert": await ask(
                "commit_or_revert",
                experiment=2,
                learned="Twice the knob lowers the loss by three, more than the two and a half expected: the optimum "
                "lies above. Next: 3.0, then the schedule.",
            ),
        }
    lab.close()
    return schemas, results


def main() -> None:
    """Print the two tables; exit code 1 when a limit is passed."""
    count, name = counter()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("AUTORESEARCH_LOCKS", folder)
        os.environ["AUTORESEARCH_LABS"] = "off"
        schemas, results = anyio.run(shown, Path(folder))
    over = False
    for title, texts, limit in (("Tool schemas", schemas, SCHEMA_LIMIT), ("One iteration", results, ITERATION_LIMIT)):
        print(f"\n{title} ({name})")
        for tool, text in texts.items():
            print(f"  {tool:<20}{count(text):>7}")
        total = sum(map(count, texts.values()))
        over |= total > limit
        print(f"  {'total':<20}{total:>7}   limit {limit}")
    sys.exit(over)


if __name__ == "__main__":
    main()
