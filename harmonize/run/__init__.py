"""One picture, files to files."""
