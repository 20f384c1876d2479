"""Picture files to uint8 arrays and back."""
