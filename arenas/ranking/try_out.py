"""Ranks the examples that ship for reading, in the log of the run: their labels are known. It decides nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path

from rank import score


def main() -> None:
    rubric, said = Path("rubric.txt").read_text("utf-8"), []
    for case in json.loads(Path("examples.json").read_text("utf-8")):
        points = score(rubric, case["query"], [one["text"] for one in case["candidates"]])
        ranked = sorted(zip(points, case["candidates"], strict=True), key=lambda pair: -pair[0])
        said.append({"query": case["query"], "labels_in_order": [one["label"] for _, one in ranked]})
    (Path(os.environ.get("AUTORESEARCH_OUT", ".")) / "examples.json").write_text(json.dumps(said, indent=1))
    print(json.dumps(said, indent=1))


if __name__ == "__main__":
    main()
