"""Pictures as files and arrays."""
