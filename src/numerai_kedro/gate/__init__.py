"""What decides whether predictions are submitted: checks, their decision, champions."""
