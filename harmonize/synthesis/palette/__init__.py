"""The element in the painting's colors."""
