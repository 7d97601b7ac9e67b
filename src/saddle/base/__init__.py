"""What every room stands on: files, tensors in files, progress, random streams, devices."""
