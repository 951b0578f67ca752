"""The page in the browser: load, cut out, place, paint and keep."""
