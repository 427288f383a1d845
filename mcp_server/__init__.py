"""autoresearch: a coding agent does research overnight, with numbers one can believe."""

__version__ = "0.1.0"
