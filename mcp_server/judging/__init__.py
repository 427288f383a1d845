"""The whole verdict, pure: what is decided from numbers alone, without files, ledger or clock."""
