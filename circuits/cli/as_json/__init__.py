"""What `--json` prints, as plain data."""
