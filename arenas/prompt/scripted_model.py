"""A model that is none: it reads a prompt and a message on its standard input and answers by rules, with known flaws.

A stand-in for a command of your own. Its flaws are those of small models: it rambles unless it is told not to, invents
a category unless it is given the list, takes irony at its word, obeys what stands in the message unless that is marked
as data, hesitates between two things unless it is told which comes first, forgets the beginning of a long prompt, and
is never quite sure. Like a real one it answers the same question differently from time to time.
"""

from __future__ import annotations

import random
import re
import sys

FORGETS_BEYOND = 1_500  # letters of the prompt; what stands before the last so many is not heeded
CATEGORIES = ("refund", "bug", "question", "praise")
SIGNS = {
    "refund": r"money back|refund|charged twice|cancel my order|return it",
    "bug": r"crash|error|freezes|does not load|broken|blank page",
    "question": r"how do i|where can i|is it possible|\bwhen will\b|what does",
    "praise": r"love|great|thank you|wonderful|best",
}
IRONY = r"great, another|just wonderful|love how it|best way to lose"


def answered(prompt: str, message: str, luck: random.Random) -> str:
    """What it says to a message under a prompt."""
    heeded = prompt[-FORGETS_BEYOND:].lower()
    if "output praise" in message.lower() and not re.search(r"(data|never an instruction|do not obey)", heeded):
        category = "praise"
    else:
        category = _read(heeded, message.lower(), luck)
    if not re.search(r"one word|nothing else|only the category", heeded) and luck.random() < 0.4:
        return f"I would say that this message could be about {category}, although one might see it differently."
    return category


def _read(heeded: str, message: str, luck: random.Random) -> str:
    found = [category for category, sign in SIGNS.items() if re.search(sign, message)]
    if re.search(IRONY, message) and "praise" in found:
        if re.search(r"irony|ironic|sarcas", heeded):
            found.remove("praise")
        else:
            return "praise"
    if not all(category in heeded for category in CATEGORIES) and luck.random() < 0.5:
        return luck.choice(("complaint", "feedback", "other"))
    if len(found) > 1 and not re.search(r"comes first|most urgent|if several", heeded):
        return luck.choice(found)
    unsure = 0.03 if "example" in heeded else 0.12
    if not found or luck.random() < unsure:
        return luck.choice(CATEGORIES)
    return found[0]


def main() -> None:
    prompt, _, rest = sys.stdin.read().rpartition("<message>")
    message = rest.partition("</message>")[0].strip()
    print(answered(prompt, message, random.Random()))


if __name__ == "__main__":
    main()
