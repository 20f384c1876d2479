"""Training and export of edgeae bundles; the only package that imports torch."""
