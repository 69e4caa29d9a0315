"""Parts that several methods share: losses, projectors, predictors, transformations, EMA targets."""
