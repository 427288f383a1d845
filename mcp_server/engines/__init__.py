"""Where a supervisor runs. An engine is a module with three verbs: launch, is_alive, cancel; it decides nothing else.

`local` is this machine, and the test bed of the rest.
"""
