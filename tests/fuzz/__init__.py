"""Random campaigns against the library: `make fuzz SECONDS=60 SEED=1`. A short seeded part runs with the tests."""
