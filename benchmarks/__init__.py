"""Benchmarks of the main job against a simulated estate; `python -m benchmarks` runs them all."""
