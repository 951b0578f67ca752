"""Run records as one HTML page."""
