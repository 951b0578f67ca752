"""Tensors as images: filters, windows, tiles, crops."""
