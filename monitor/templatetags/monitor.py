"""Template tags of the dashboard."""

from __future__ import annotations

from collections.abc import Sequence

from django import template

register = template.Library()

HEIGHT = 15  # of the sparkline's 16 units; the line keeps half of its width


@register.simple_tag
def sparkline(points: Sequence[float]) -> str:
    """The path of an SVG area chart: one unit to the right for each point.

    `points` are from 0 to 1. The area ends on the base line.
    """
    tops = " ".join(f"L{x} {16 - HEIGHT * y:.1f}" for x, y in enumerate(points))
    return f"M0 16 {tops} L{len(points) - 1} 16 Z"
