"""Lists of jobs: files of several kinds, and folders."""
