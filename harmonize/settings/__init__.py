"""Settings: what they may be, how they are read, merged and written."""
