"""The element as planes and strokes, and what is drawn rather than brushed."""
