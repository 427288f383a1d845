"""Edits that began elsewhere, made on the present incumbent: of another lab, or from what was the incumbent before."""
