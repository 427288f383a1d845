"""Papers: what they say, and that no number in them can be typed or changed."""
