"""What features are by themselves, before any model: statistics that are read once and kept."""
