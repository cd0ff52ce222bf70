"""Everything that imports dbt; loaded only inside the host process."""
