"""What is pasted where."""
