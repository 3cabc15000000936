"""Xovis sensors: JSON data push, and their memory."""
