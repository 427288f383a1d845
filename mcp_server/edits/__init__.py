"""What a change of source text means, from its syntax trees alone."""
