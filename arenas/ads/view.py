"""Shows the creatives of a plan as their audience reads them: text, which the lab draws. No score is taken from it."""

import json
import os
from pathlib import Path

plan = json.loads((Path(os.environ["AUTORESEARCH_ARTIFACT"]) / "plan.json").read_text(encoding="utf-8"))
cards = [f"{one['headline']}\n{one['body']}\n[ {one['call']} ]" for one in plan["creatives"]]
(Path(os.environ["AUTORESEARCH_VIEW"]) / "view.txt").write_text("\n\n".join(cards), encoding="utf-8")
