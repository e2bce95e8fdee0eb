"""One model trained by several processes: each takes its share of the rows of every batch, all take the same step."""
