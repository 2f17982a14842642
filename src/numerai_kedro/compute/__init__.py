"""The machine's resources, the plan of what fits, and remedies for what does not."""
