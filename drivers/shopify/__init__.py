"""Shopify: orders and refunds by webhook."""
