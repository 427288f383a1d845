"""Shows what the checklist says of two contracts that ship for reading, in the log of the run. It decides nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path

from checklist import review


def main() -> None:
    said = {path.name: review(path.read_text("utf-8")) for path in sorted(Path("samples").glob("*.txt"))}
    (Path(os.environ.get("AUTORESEARCH_OUT", ".")) / "samples.json").write_text(json.dumps(said, indent=1))
    print(json.dumps(said, indent=1))


if __name__ == "__main__":
    main()
