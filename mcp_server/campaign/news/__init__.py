"""News of a lab: what happened, told once, as a file that programs follow and as something to wait for."""
