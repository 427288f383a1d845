"""What is said and heard while a campaign runs: events, and what people ask for."""
