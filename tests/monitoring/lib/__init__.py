"""Parts of the monitoring checks."""
