"""Where Hydra looks for plugins: `launchers` are those that run the jobs of a sweep in processes of their own."""
