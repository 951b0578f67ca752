"""Which place of the painting each position of the picture is like.

A *field* [n] (int64) holds, for n positions, flat indices y · width + x into the painting's grid.
Positions are flat indices into the picture's grid.
"""
