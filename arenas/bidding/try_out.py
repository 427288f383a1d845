"""The policy on a platform that anybody may see, for the log of the run. It decides nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path

from auction import HOURS, Bidder, day_of, hour_of, morning, told, world
from bidder import bids
from units import Draw

DAYS = 3


def main() -> None:
    rules, draw = json.loads(Path("rules.json").read_text("utf-8")), Draw("for everybody")
    here, bidder, said = world(draw), Bidder(rules["budget_a_day"]), []
    for day in range(DAYS):
        today = day_of(draw, here, day, rules["auctions_a_day"])
        morning(bidder, day)
        for hour in range(HOURS):
            hour_of(here, today, hour, bids(told(here, bidder, day, hour)), bidder)
        said.append({"day": day, "value": round(bidder.value, 2), "spent": round(bidder.spent, 2)})
        print(said[-1])
    (Path(os.environ.get("AUTORESEARCH_OUT", ".")) / "days.json").write_text(json.dumps(said))


if __name__ == "__main__":
    main()
