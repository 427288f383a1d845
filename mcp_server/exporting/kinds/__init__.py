"""The targets, one module each, with `export(rows, where, project)`; what the files share is in `tables`."""
