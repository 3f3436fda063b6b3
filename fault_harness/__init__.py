"""The fault harness: real processes under a seeded schedule of load and faults, and books that must balance afterwards."""
