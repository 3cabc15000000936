"""Hikvision cameras: ISAPI people counting."""
