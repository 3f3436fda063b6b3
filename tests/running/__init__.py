"""Running the product as an operator does: probes, metrics, stopping, logs, the wheel."""
