"""What closed days come to: like-for-like growth, and whether a campaign shows. Pure over sums of days."""
