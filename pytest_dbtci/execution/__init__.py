"""A run from plan to results: the build, its queries, and the workers that ask for both."""
