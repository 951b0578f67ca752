"""Which place of the painting each position of the picture is like.

A *field* is an int64 tensor [n] of flat indices (y · width + x) into the painting's grid, one for
each of n positions, which are flat indices into the picture's grid.
"""
