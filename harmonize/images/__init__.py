"""Pictures as files and arrays, without torch."""
