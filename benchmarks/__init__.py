"""The benchmarks: whole imports, each in a process of its own, and the bare limits of the same work."""
