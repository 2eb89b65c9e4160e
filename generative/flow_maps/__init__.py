"""Flow maps: networks that jump along the probability flow, from the state at one time to the state at another.

A map with another rule for its jump is a subclass of `FlowMap` that overrides `towards`. How it is composed of a
denoiser may be changed freely: tests check every jump against closed forms.
"""

from __future__ import annotations

from .consistency import Consistency as Consistency
from .flow_map import FlowMap as FlowMap, check_flow_map as check_flow_map
from .towards import Towards as Towards
