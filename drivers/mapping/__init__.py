"""Any JSON payload, described in configuration."""
