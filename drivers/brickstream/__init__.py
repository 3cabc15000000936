"""Brickstream sensors: XML metrics by HTTP push."""
