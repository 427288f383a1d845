"""The first minutes: a demonstration to watch, and a lab proposed for the repository that is there."""
