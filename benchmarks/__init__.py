"""Work-precision: network evaluations against error."""
