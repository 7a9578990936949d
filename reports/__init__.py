"""The report formats that come with the auditor."""

from auditor.plugin import Renderer
from reports.html import as_html
from reports.json import as_json

RENDERERS: tuple[Renderer, ...] = (as_html, as_json)
