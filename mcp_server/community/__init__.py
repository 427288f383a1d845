"""A community of labs: signed journals of attempts, their exchange over any git remote, and what is made of them."""
