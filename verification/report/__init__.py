"""What a run of the verification found: the jobs, the table, JSON, and a page to read.

The keys of the JSON are the interface. Wording and layout may be changed by whoever looks at the result.
"""

from __future__ import annotations

from .page import write_html as write_html
from .report import STYLES as STYLES, Report as Report, print_report as print_report, write_json as write_json
from .suite import Told as Told, chosen as chosen, verify as verify
from .wording import number as number, plain as plain
