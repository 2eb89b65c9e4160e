"""Mutation testing: does the suite notice if a formula is wrong?

    make mutants                             200 mutants, after the tests of this tool itself
    python -m mutation --number 20           from the folder `tools`: fewer of them

`operators` writes slips into the sources of `solvers` and `generative`, one at a time. `covering` knows which tests run
the line. `trial` runs those on a copy of the checkout until one fails. `__main__` draws the mutants and counts.

Why a tool of our own: a suite of minutes makes a mutant cheap only if the tests of its line alone are run, which
cosmic-ray does not do; and tables of coefficients stand outside functions, where mutmut makes no mutants.
"""
