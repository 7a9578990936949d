"""The report formats that come with the auditor."""

from auditor.plugin import Renderer, RepairRenderer
from reports.html import as_html
from reports.json import as_json
from reports.repair_html import plan_page, run_page
from reports.repair_json import run_json

AUDIT_RENDERERS: tuple[Renderer, ...] = (as_html, as_json)
REPAIR_RENDERERS = (
    RepairRenderer("html", ".html", plan=plan_page, run=run_page),
    RepairRenderer("json", ".json", run=run_json),
)
RENDERERS: tuple[Renderer | RepairRenderer, ...] = (*AUDIT_RENDERERS, *REPAIR_RENDERERS)
