"""What a comparison found: the rows of a problem, the ranking at each budget, tables, pictures and recommendations.

Tables and pictures may be changed by whoever looks at them. The keys of the JSON are part of the interface.
"""

from __future__ import annotations

from .recommendation import Recommendation as Recommendation
from .result import Result as Result
from .standing import Standing as Standing
from .tables import print_result as print_result
