"""Packs pictures from folders, CIFAR, WebDataset or a dataset of iebench as a dataset with one view for each object."""
