"""What the machine can hold, what of the work fits on it, and what is tried when it does not."""
