"""The report formats that come with the auditor."""

from auditor.plugin import Renderer
from reports.json import as_json

RENDERERS: tuple[Renderer, ...] = (as_json,)
