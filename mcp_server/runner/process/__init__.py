"""One command as a process: started in its walls, heard, held to its limits, ended with all it started, and told of."""
