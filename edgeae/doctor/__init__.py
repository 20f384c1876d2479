"""What is installed here, what really runs, and whether it computes what it should."""
