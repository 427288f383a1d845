"""A lab server: one bare repository of journals over HTTP, for labs without a git host. It adds nothing to trust."""
