"""How a campaign begins: its rules and who may change them, its baseline, and how it compares with the others."""
