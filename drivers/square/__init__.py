"""Square: payments and refunds by webhook."""
