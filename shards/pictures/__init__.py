"""Pictures and their classes as a dataset: one view an object, from folders, CIFAR, WebDataset or our own renders."""
