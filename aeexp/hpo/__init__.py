"""Hyperparameter search by Optuna's ask and tell: `hydra/sweeper=aeexp_optuna`."""
