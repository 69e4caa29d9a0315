"""Networks from images to representations, and encoders of any origin for evaluation."""
