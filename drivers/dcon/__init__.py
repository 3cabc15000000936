"""DCON / ADAM ASCII counter modules on RS-485."""
