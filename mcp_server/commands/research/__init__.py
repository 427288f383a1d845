"""Commands about research itself: histories of other tools, suggestions, comparisons."""
