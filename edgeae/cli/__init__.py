"""Commands: parse, one call of the Python API, print."""
