"""Symbols to bytes and back: integer tables and interleaved rANS."""
