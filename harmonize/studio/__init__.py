"""The page on this machine: load, cut out, place, see, paint and keep, in a browser."""
