"""Find which place of the painting each position is like.

A *field* [n] holds a place for each of n positions.
"""
