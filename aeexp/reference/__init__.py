"""conf/ and docstrings as a person reads them: no torch, no hydra."""
