"""Images as tensors."""
