"""MRB HPC168 / HPC088 door counters on RS-232 or RS-485."""
