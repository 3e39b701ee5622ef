"""The benchmark for datasets: a list of sample uids becomes a leaderboard entry."""

__version__ = "0.1.0"
