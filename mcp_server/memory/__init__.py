"""What was tried and what it taught, pure: which lessons are admitted, what is recalled, how an experiment reads."""
