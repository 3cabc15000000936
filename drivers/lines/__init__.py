"""Text lines of boards and sketches, described in configuration."""
