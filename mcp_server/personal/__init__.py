"""What is the user's and no lab's: the file outside every repository that says who is told, and how it is sent."""
