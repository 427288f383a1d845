"""Face: the live page of a lab, for a browser on the same machine.

`feed` gathers what the page shows and what changed since a client last heard, `experiment` one attempt as a page,
`app` serves both with a strict content policy, `reins` is the one thing that writes (what a person asks of the
campaign), `static/` is the page itself: plain files, no build step.
"""
