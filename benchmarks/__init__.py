"""Work-precision: network evaluations against error.

The keys of stored rows are the interface: a run must find what an earlier one measured. Tables and pictures may be
changed by whoever looks at them.
"""
