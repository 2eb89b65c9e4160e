"""Tools of every room: checks of arguments and functions, derivatives, numpy array types, atomic files, progress bars.

Change freely how files are written, as long as a crash at any moment leaves the old file or the new one, and how they
tell that they are damaged, as long as every bit is covered.
"""

from __future__ import annotations

from .arrays import (
    Array as Array,
    Mask as Mask,
    array as array,
    host as host,
    matching as matching,
    truth as truth,
    widest as widest,
)
from .blamed import blamed as blamed, ended as ended
from .checks import (
    MANY as MANY,
    check_callable as check_callable,
    check_fields as check_fields,
    check_instance as check_instance,
    choice as choice,
    flag as flag,
    real as real,
    reals as reals,
    whole as whole,
    wholes as wholes,
)
from .damage import (
    UNSEALED as UNSEALED,
    check_seal as check_seal,
    naming as naming,
    sealed as sealed,
    warn_unsealed as warn_unsealed,
)
from .derivatives import gradient as gradient, pullback as pullback, pushforward as pushforward
from .files import check_writable as check_writable, is_file as is_file, write_whole as write_whole
from .in_place import check_unchanged as check_unchanged, mark_of as mark_of
from .progress import Progress as Progress
from .tensor_checks import (
    check_alike as check_alike,
    check_device as check_device,
    check_dtype as check_dtype,
    check_finite as check_finite,
    check_floating as check_floating,
    check_memory as check_memory,
    check_no_gradient as check_no_gradient,
    check_samples as check_samples,
    shown as shown,
)
