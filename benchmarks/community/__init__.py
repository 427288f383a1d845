"""What a community of labs must stand and what it brings, row by row: `python -m benchmarks.community [row ...]`."""
