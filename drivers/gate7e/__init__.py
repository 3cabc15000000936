"""Gate controllers that are asked with 7E and answer with 7F, on RS-485."""
