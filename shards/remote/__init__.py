"""Reads and downloads files at http, s3 and Hugging Face addresses."""
