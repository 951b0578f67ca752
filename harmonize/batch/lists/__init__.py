"""Lists of jobs as people have them: files of several kinds, and folders."""
