"""All that crosses the boundary to dbt's process: requests with their answers, events, and the lines they travel in.

A request is asked with `Host.ask`, which gives what its class names as the answer. The dbt host answers it with the
method of `dbt_host.operations` that takes the class. Both sides are of one version: what one of them does not know is
an error, never ignored.
"""
