"""Other labs' gains as commands: adopt one, put two together, repeat some, and look what they are worth."""
