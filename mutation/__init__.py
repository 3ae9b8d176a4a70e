"""Mutation run over `core/` and `recorder/`: `make mutation N=300 SEED=1`. `make test` does not include it."""
