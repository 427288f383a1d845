"""What else than the scores may speak against a keep: the examples behind them, further metrics. Pure."""
