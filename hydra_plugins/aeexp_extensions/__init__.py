"""Where Hydra looks for plugins: `search_path` adds the options of installed extensions."""
