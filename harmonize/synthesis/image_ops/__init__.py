"""Images as tensors: filters, windows, tiles, crops."""
