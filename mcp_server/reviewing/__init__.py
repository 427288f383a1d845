"""Reviews: the claims of a paper as a checklist, the runs a reviewer asks for, and verdicts worked out from them."""
