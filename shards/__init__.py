"""Defines iebench's dataset format, and reads and writes datasets as WebDataset shards."""
