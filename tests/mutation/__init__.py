"""Mutation testing: does the suite notice if a formula is wrong?

    python -m mutation        from the folder `tests`; or `make mutants`

`operators` writes slips into the sources of `solvers` and `generative`, one at a time; `coverage` knows which tests run
the line; `trial` runs those on a copy of the checkout until one fails; `__main__` draws the mutants and counts.
"""
