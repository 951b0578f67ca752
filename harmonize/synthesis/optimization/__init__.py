"""What a pass minimizes, and how."""
