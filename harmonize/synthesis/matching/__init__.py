"""Find which place of the painting each position of the picture is like.

A *field* [n] holds a place for each of n positions.
"""
