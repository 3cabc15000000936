"""Portals that are asked over HTTP for in and out per counter and interval."""
