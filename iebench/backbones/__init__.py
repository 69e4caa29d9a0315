"""Encoders: networks from images to representations."""
