"""The command on generated input of all kinds ends with a valid picture or with one line."""
