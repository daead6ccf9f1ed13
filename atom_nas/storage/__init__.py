"""Files that survive a kill and show whether they are as they were written."""
