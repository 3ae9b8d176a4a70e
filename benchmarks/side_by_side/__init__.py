"""This tree and an earlier commit, measured in turn within one run: `python -m benchmarks.side_by_side`."""
