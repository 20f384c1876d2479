"""Functions in C, used where the library was built; numpy computes the same without it."""
