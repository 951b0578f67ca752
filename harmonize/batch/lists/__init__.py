"""Lists and folders of jobs."""
