"""Run records as a page."""
