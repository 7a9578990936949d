"""Repairs: a plan, the gates before it, its application in waves, and the proof that it worked."""
