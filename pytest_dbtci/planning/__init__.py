"""The plan of a run: the base and the head, parsed and compared."""
