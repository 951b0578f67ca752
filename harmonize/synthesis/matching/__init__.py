"""Match positions to places of the painting.

A *field* [n] holds a place for each of n positions.
"""
