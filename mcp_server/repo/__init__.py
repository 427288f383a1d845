"""The one room that touches git and the user's files: objects, refs, work trees, and a workspace made of them."""
