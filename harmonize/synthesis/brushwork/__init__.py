"""The element as planes, strokes and drawing."""
