"""The element in the painting's own patches."""
