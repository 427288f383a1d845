"""How the verbs of the lab are put before whoever calls them; nothing is decided here."""
