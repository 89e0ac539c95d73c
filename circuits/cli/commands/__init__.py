"""One module for each verb; `COMMANDS` has its commands by name."""
