"""A course on autoencoders as one page: topics, what each trains, and the figures that show it."""
