"""What other labs' gains are worth: status of claims, trust of labs, what to repeat, how it is adopted."""
