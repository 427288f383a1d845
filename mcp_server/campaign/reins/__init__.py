"""A person's hand on a running campaign: pause, veto, notes, and the queue of ideas that agents draw from."""
