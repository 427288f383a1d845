"""Who runs what right now: leases, claimed before a run, held while its supervisor lives, and never in the way."""
