"""The report formats that come with the auditor."""

from auditor.plugin import Renderer

RENDERERS: tuple[Renderer, ...] = ()
