"""Where a run lives: folder, record, checkpoints, and the process it has to itself."""
