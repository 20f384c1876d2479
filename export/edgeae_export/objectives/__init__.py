"""What each network minimizes and is judged by, one file a network."""
