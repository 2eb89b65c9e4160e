"""Tools of every room: numpy array types, files that are written atomically, the progress bar.

Change freely how files are written, as long as a crash at any moment leaves the old file or the new one.
"""

from __future__ import annotations

from .arrays import Array as Array, Mask as Mask
from .files import write_whole as write_whole
from .progress import Progress as Progress
