"""What outlives a run: the journal of repairs, in a database."""
