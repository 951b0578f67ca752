"""The method, on tensors alone."""
