"""What Rich draws, without what could command a terminal. Imported where something is drawn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO, Any, Literal

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from smd_cli.visible import visible_lines


class VisibleConsole(Console):
    """A console that draws text as it is, brackets too, and spells out what does not show itself.

    A `Text` is measured before that: one of other people's words is made of visible text.
    """

    def __init__(
        self,
        *,
        file: IO[str] | None = None,
        width: int | None = None,
        highlight: bool = True,
        color_system: Literal["auto"] | None = "auto",
    ) -> None:
        super().__init__(
            file=file, width=width, highlight=highlight, color_system=color_system, markup=False, emoji=False
        )

    def render_str(self, text: str, **options: Any) -> Text:  # noqa: ANN401 - Rich's own
        """Make a text, visible before it is measured."""
        return super().render_str(visible_lines(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render something into segments of visible text, and Rich's own commands."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else visible_lines(text), style, control)
