"""Calls every public entry with wrong values, and says how each call ends.

    entries    the public functions, classes and methods, and the commands, found from what is exported
    examples   for every parameter a value with which its entry works, and the wrong values of its kind
    outcome    how a call ended: result, door, obscure, silent or hang
    worker     makes calls in processes of their own, which may hang or run out of memory

    python -m fuzz --calls 10000

An entry is covered by being exported: its parameters are filled in by their annotations and names. If one has neither a
default nor an example, the run says which, and ends.
"""
