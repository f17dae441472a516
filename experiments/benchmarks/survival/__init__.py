"""What a training run survives: kills, damaged files, signals, full disks, hostile text."""
