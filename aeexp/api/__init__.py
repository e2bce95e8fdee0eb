"""aeexp from Python: `fit`, `sweep`, `open` and `report`, which the package has at its top."""
