"""What a verdict is told beside the scores: single examples, further metrics, and what only people see."""
