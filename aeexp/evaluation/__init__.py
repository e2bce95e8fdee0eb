"""A trained model as metrics and plots see it, and what they share."""
