"""What operators may see of the running service: structured logs from a closed vocabulary."""
