"""The repository: merge base, changes, checkouts aside, the remote."""
