"""Where Hydra looks for plugins: `sweeper` is the search on Optuna."""
