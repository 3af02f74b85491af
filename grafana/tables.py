"""Tables made of columns: one query per column, and rows joined by their labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from grafana_foundation_sdk.builders import common as shared
from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard

from grafana import common, pages, queries
from grafana.common import GREY, RED, YELLOW
from grafana.config import Config
from grafana.widths import NARROW, width_of
from streams.callers import REFERENCE_DIGITS, UNKNOWN_CALLER
from streams.phone_numbers import KEY_PREFIX

TEXT: Final = {"type": "color-text"}
FILLED: Final = {"type": "color-background", "mode": "basic"}
GAUGE: Final = {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}
COLOURED: Final = options.TableColorTextCellOptions()

WIDE: Final = {"name": 130, "team_name": 125, "lead": 250, "alertname": 160, "instance": 200}
"""How wide the columns of labels with long values are at least, in pixels; others 80."""

HIDDEN: Final = "Id"
"""The head of the column with the manager's id. It is hidden: the link on the name needs it."""

PAGE: Final = "CRM"
"""The head of the column with the address of the lead's page in the CRM. It is hidden, too."""

MANAGER: Final = {"name": "Manager", "team_name": "Team", "manager": HIDDEN}
"""The labels of a row of a manager, and the heads of their columns."""

LEAD: Final = {"name": "Manager", "manager": HIDDEN, "lead": "Lead", "why": "Why"}
"""The same of a lead that needs help."""


class Column(NamedTuple):
    """A column: its head, its query, its unit, and the look of its cells."""

    head: str
    expr: str
    unit: str = "none"
    thresholds: common.Steps = ()
    cell: Mapping[str, str] = TEXT
    more: Mapping[str, object] = {}


def quiet(word: str = "·") -> list[dashboard.ValueMapping]:
    """Return a mapping that shows a dot instead of 0, for columns of mostly zeros."""
    return common.words({0: (word, GREY)})


def whole(head: str, expr: str, **more: object) -> Column:
    """Return a column of whole numbers."""
    return Column(head, expr, more={"decimals": 0, **more})


def share(head: str, expr: str, decimals: int = 0, **more: object) -> Column:
    """Return a column of percentages."""
    return Column(head, expr, "percentunit", more={"decimals": decimals, **more})


def arranged(heads: Mapping[str, str], hidden: Sequence[str] = ()) -> list[dashboard.DataTransformerConfig]:
    """Return the transformations that make one table of the queries, its columns in this order with these heads."""
    return [
        dashboard.DataTransformerConfig(id_val="merge", options={}),
        dashboard.DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": dict.fromkeys(("Time", "__name__", *hidden), True),
                "indexByName": {name: index for index, name in enumerate(heads)},
                "renameByName": dict(heads),
            },
        ),
    ]


def of_columns(
    title: str,
    description: str,
    labels: Mapping[str, str],
    columns: Sequence[Column],
    sort: str,
    *,
    down: bool = True,
    then: str = "",
) -> table.Panel:
    """Return a table with a column for each of the labels of its rows, then the columns; sorted by one of them.

    Rows that are equal in it are sorted by the column `then`, the greatest first.
    """
    columns = [column._replace(expr=_with_labels(column.expr, labels)) for column in columns]
    refs = [chr(ord("A") + index) for index in range(len(columns))]
    panel = common.described(table.Panel(), title, description, "none")
    exprs = (f"sort_desc({column.expr})" if down and column.head == sort else column.expr for column in columns)
    panel = panel.targets([common.row_query(expr, ref) for expr, ref in zip(exprs, refs, strict=True)])
    heads = {f"Value #{ref}": column.head for ref, column in zip(refs, columns, strict=True)}
    if len(columns) == 1:  # Grafana omits the letter if there is one query
        heads = {"Value": columns[0].head, **heads}
    panel = panel.transformations(arranged({**labels, **heads}))
    order = [shared.TableSortByFieldState().display_name(sort).desc(down)]
    panel = panel.sort_by([*order, *([shared.TableSortByFieldState().display_name(then).desc(True)] if then else [])])
    panel = with_label_columns(panel, labels)
    for column in columns:
        properties = common.override(
            noValue="·",
            unit=column.unit,
            custom_cellOptions=column.cell,
            custom_align="right",
            custom_minWidth=width_of(column.head, column.unit),
        )
        if column.thresholds:
            properties += common.override(thresholds=common.steps(column.thresholds).build())
        panel = panel.override_by_name(column.head, properties + common.override(**column.more))
    # Many columns in a screen's width: they share it evenly.
    return (
        panel.no_value(common.NO_FIGURES)
        .min_width(NARROW)
        .cell_options(COLOURED)
        .thresholds(common.steps(((None, "text"),)))
    )


def with_label_columns(panel: table.Panel, labels: Mapping[str, str]) -> table.Panel:
    """Return the panel with the widths of its label columns, the link on names, and the ids hidden."""
    for label, head in labels.items():
        properties = common.override(custom_minWidth=max(WIDE.get(label, 80), width_of(head)))
        if head in (HIDDEN, PAGE):  # the second one is what Grafana 12 reads
            properties = common.override(custom_hidden=True, custom_hideFrom={"viz": True})
        if head == PAGE:  # Grafana drops a link without an address, and this is the address where there is none
            properties += common.override(noValue="")
        if label == "name" and "manager" in labels:
            properties += common.override(links=[_to_manager(), _to_page_of_manager()])
        if label == "lead":
            properties += common.override(mappings=_callers())
            if pages.PAGE in labels:
                properties += common.override(links=[_to_page_of_lead()])
        panel = panel.override_by_name(head, properties)
    return panel


def _with_labels(expr: str, labels: Mapping[str, str]) -> str:
    """Return the query of a column with the labels of its rows, and no others; names are joined to it."""
    if "name" not in labels:
        return expr
    named = queries.with_name(expr) if "manager" in labels else queries.with_team_name(expr)
    return f"max by ({', '.join(labels)}) ({named})"


def attention(config: Config, labels: Mapping[str, str]) -> table.Panel:
    """Return the leads that need help, with these labels; most conversations without progress first."""
    stuck = config.settings.results.stuck_after
    urgent, template = queries.manager("lead_attention", "lead", "why"), config.settings.links.lead
    if template:
        labels = {**labels, pages.PAGE: PAGE}
    found = pages.with_lead_page(urgent, template)
    if "manager" not in labels:  # the board of one manager does not name that one in each line
        found = f"max by ({', '.join(labels)}) ({found})"
    return of_columns(
        "Leads that need help",
        "Leads without a next step or a new stage in several conversations in a row. After <<mentor_after>> a mentor "
        "should discuss the lead with the manager (consultation); after <<stuck_after>> it is stuck. In a row: the "
        "number of these conversations. At most <<attention_series>> leads per manager; callpulse leads lists all. An "
        "unknown caller is known by a number alone; callpulse lead-key makes the reference of a number.",
        labels,
        (Column("In a row", found, thresholds=((None, YELLOW), (stuck, RED))),),
        "In a row",
    ).no_value("No lead needs help. While Data is not Live, none is known.")


def _to_manager() -> Mapping[str, object]:
    """Return the link from a name to that manager's board."""
    address = f"/d/<<uid>>-manager?var-manager=${{__data.fields.{HIDDEN}}}"
    return {"title": "The board of ${__value.text}", "url": address}


def _to_page_of_manager() -> Mapping[str, object]:
    """Return the link from a name to the manager's page in the CRM. It is left out without one in the settings."""
    return {"title": "${__value.text} in the CRM", "url": "<<manager_page>>", "targetBlank": True}


def _to_page_of_lead() -> Mapping[str, object]:
    """Return the link from a lead to its page in the CRM."""
    return {"title": "${__value.text} in the CRM", "url": f"${{__data.fields.{PAGE}:raw}}", "targetBlank": True}


def _callers() -> list[dashboard.RegexMap]:
    """Return the mapping that shows leads known by a number alone as unknown callers with a short reference."""
    pattern = f"/^{KEY_PREFIX}([0-9a-f]{{{REFERENCE_DIGITS}}})[0-9a-f]*$/"
    shown = dashboard.ValueMappingResult(text=f"{UNKNOWN_CALLER} $1")
    return [dashboard.RegexMap(options=dashboard.DashboardRegexMapOptions(pattern=pattern, result=shown))]
