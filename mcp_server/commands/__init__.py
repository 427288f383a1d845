"""The commands of the terminal, by subject: beginnings, verbs, views. `cli.COMMANDS` names them and loads them late."""
