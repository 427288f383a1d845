"""How journals travel: keys and signatures, the repositories that hold them, what is accepted, and other places."""
