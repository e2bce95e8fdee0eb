"""Where Hydra looks for plugins: `launchers` are those that train the runs of a sweep together."""
