"""The data contract of iebench, and WebDataset shards in and out."""
