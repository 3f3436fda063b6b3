"""The benchmarks: whole imports, each in a process of its own, beside the bare limits of the same work."""
