"""Commands that measure commits against each other, and what a pull request is made with."""
