"""A run that many machines share: its studies, tables and made things in one database."""
