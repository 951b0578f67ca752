"""The command on generated pictures, masks, placements, settings, lists, records and names.

Whatever it is given, it ends with a valid picture or with one line for what is wrong (`case.py`
says what that means). `make test` runs the same few hundred cases every time, `make fuzz` thousands
of new ones.
"""
