"""What closed days come to: like-for-like growth, whether a campaign shows, what nobody watched. Pure."""
