"""What labs say together and to each other: the summary of their attempts, and posts about records."""
