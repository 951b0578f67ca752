"""Which place of the painting each place of the picture is like."""
