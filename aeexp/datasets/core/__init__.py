"""What every data set is: rows, splits, preprocessing."""
