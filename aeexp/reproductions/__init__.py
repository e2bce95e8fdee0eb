"""Published numbers made again: studies as records (conf/reproduce), their runs, and whether the numbers came out."""
