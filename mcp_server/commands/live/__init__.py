"""Commands about a campaign while it runs: what happens in it, and a person's hand on it."""
