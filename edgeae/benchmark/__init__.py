"""How long a bundle takes on this machine, how much memory, and how others do beside it."""
