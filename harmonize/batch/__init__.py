"""Many pictures: jobs, where they come from, who does them."""
