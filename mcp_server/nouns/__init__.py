"""The words that the whole product shares: plain data about a lab, with no files, no clock and no git."""
