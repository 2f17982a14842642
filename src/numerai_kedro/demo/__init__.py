"""A tournament of our own: data whose truth is known, and a local server of Numerai's API."""
