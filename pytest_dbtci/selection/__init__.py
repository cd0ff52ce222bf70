"""Which nodes a change selects, and the reason for each."""
