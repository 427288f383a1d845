"""The creatives that go into the field together: the agent's file. It writes a plan; showing it is not its business."""

import json
import os
from pathlib import Path

CREATIVES = [
    {
        "headline": "Our bread is baked by us",
        "body": "We bake bread in our bakery and we sell it to people who like our bread.",
        "call": "See our shop",
    },
]

(Path(os.environ["AUTORESEARCH_OUT"]) / "plan.json").write_text(json.dumps({"creatives": CREATIVES}))
