"""The letter and how it is sent: the agent's file. It writes a plan; sending is not its business."""

import json
import os
from pathlib import Path

SUBJECT_WORDS = 14  # long subjects are cut by the reader's mail program
BODY_WORDS = 260
SEND_HOUR = 18  # local time of the reader
PERSONAL_LINES = 1  # written for this reader; each costs
FOLLOW_UPS = 1  # reminders to those who did not answer
GREETING = "plain"  # plain, warm or formal

plan = {
    "subject_words": SUBJECT_WORDS,
    "body_words": BODY_WORDS,
    "send_hour": SEND_HOUR,
    "personal_lines": PERSONAL_LINES,
    "follow_ups": FOLLOW_UPS,
    "greeting": GREETING,
}
(Path(os.environ["AUTORESEARCH_OUT"]) / "plan.json").write_text(json.dumps(plan))
