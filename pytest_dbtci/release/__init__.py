"""The release of the default branch: its checks, its plan, its documentation."""
