"""Settings read, checked, merged and written."""
