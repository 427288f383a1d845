"""What a scorer holds secret is nowhere that a run can read: which text may be sealed, what is hidden, and the proof.

The sealed text of a corpus was on this machine before the corpus was: the standard library, a folder of books.
`shingles` recognises pieces of it wherever they lie, `unpacking` looks inside archives, `search` walks through all that
is readable, `closure` says which modules a run needs, `choosing` picks documents whose every copy can be hidden from
runs, and `proof` sends the search into the sandbox that a run gets and believes only what it finds from there.
"""
