"""The yardstick: synthetic dbt projects, the script a team would write by hand, and the comparison with it."""
