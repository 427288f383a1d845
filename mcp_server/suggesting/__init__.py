"""A classical optimiser beside the agent: where constants may lie, what is known of them, what to try next.

It only advises: nothing here edits a file or starts a run.
"""
