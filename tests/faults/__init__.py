"""What a run leaves behind when something goes wrong around it: real processes, real signals, real servers."""
