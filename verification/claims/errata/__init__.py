"""Where a source prints a formula wrong, and where one might think so: printed and corrected forms, measured.

An erratum needs its printed form, measured to fail, and the corrected one, measured to hold. Add one without asking
anyone.
"""

from __future__ import annotations

from . import (
    blog as blog,
    lecture_notes as lecture_notes,
    lecture_notes_limits as lecture_notes_limits,
    lecture_notes_models as lecture_notes_models,
    not_errata as not_errata,
    not_errata_fields as not_errata_fields,
    slides as slides,
    slides_models as slides_models,
    tutorial as tutorial,
    tutorial_code as tutorial_code,
    tutorial_interfaces as tutorial_interfaces,
    tutorial_losses as tutorial_losses,
)
