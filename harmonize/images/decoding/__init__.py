"""Bytes of picture files → pixels, and what the files say of them."""
