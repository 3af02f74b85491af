"""The common parts of all boards: the data source, the variables, panels with defaults, and the board itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from grafana_foundation_sdk.builders import bargauge, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders import common as shared
from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from grafana import pages
from grafana.config import Config
from grafana.queries import NAMES, NO_QUEUE, TEAM_NAMES

DATASOURCE: Final = options.DataSourceRef(type_val="prometheus", uid="${datasource}")
GREEN, YELLOW, ORANGE, RED, BLUE, GREY = "#20b98f", "#e89b00", "#c87300", "#d2382c", "#3d8fdd", "#6e7078"
VIOLET: Final = "#6c3cfc"
# The colours also differ in lightness, and the green is bluish, for readers who cannot distinguish red and green.
# None is so light that it is not seen on a white board.

NAMED: Final = r'/manager="(?<value>[^"]+)".*name="(?<text>[^"]+)"/'
TEAM_NAMED: Final = r'/name="(?<text>[^"]+)".*team="(?<value>[^"]+)"/'
"""Of a series of names: the id is the value of the variable, the name is its text for the reader."""

UNKNOWN: Final = "unknown"
NO_FIGURES: Final = "No figures. Data on the board Team now says why."
"""The texts of a number, and of another panel, without exported values. Some panels have a text of their own."""

NOT_LIVE: Final = -(10**12)
"""The value that stands for UNKNOWN while no worker answers: a number's own text would be wrong then."""

MOST_LINES: Final = 8
"""How many lines of people or teams a panel has: more have like colours, and no room for their names."""

THINNEST, THICKEST = 16, 48
"""How high a bar and its name are, in pixels: a few bars do not fill a panel for many."""

Panel = TypeVar("Panel", bargauge.Panel, stat.Panel, statetimeline.Panel, table.Panel, timeseries.Panel)
AnyPanel = bargauge.Panel | stat.Panel | statetimeline.Panel | table.Panel | timeseries.Panel
Steps = Sequence[tuple[float | None, str]]
Placed = tuple[int, int, int, int, "AnyPanel | dashboards.Row"]
"""x, y, width, height and the panel that goes there; the board has 24 columns."""


def query(expr: str, legend: str = "", ref: str = "A") -> Dataquery:
    """Return a query over the time range of the board."""
    return Dataquery().datasource(DATASOURCE).expr(expr).legend_format(legend or "__auto").ref_id(ref).range()


def instant(expr: str, legend: str = "", ref: str = "A") -> Dataquery:
    """Return a query of the last value."""
    return Dataquery().datasource(DATASOURCE).expr(expr).legend_format(legend or "__auto").ref_id(ref).instant()


def row_query(expr: str, ref: str) -> Dataquery:
    """Return a query of the last value as a column of a table."""
    return instant(expr, ref=ref).format(PromQueryFormat.TABLE)


def steps(of: Steps) -> dashboards.ThresholdsConfig:
    """Return thresholds: each colour holds from its value on, the first from None on."""
    return (
        dashboards.ThresholdsConfig()
        .mode(dashboard.ThresholdsMode.ABSOLUTE)
        .steps([dashboard.Threshold(value=value, color=color) for value, color in of])
    )


def rising(bounds: tuple[float, float]) -> Steps:
    """Return the steps of a figure that is worse the greater it is: green, yellow, red."""
    return ((None, GREEN), (bounds[0], YELLOW), (bounds[1], RED))


def words(of: Mapping[int, tuple[str, str]]) -> list[dashboard.ValueMapping]:
    """Return the mapping of values to a word and its colour."""
    return [
        dashboard.ValueMap(
            options={
                str(value): dashboard.ValueMappingResult(text=text, color=color, index=index)
                for index, (value, (text, color)) in enumerate(of.items())
            }
        )
    ]


def described(panel: Panel, title: str, description: str, unit: str) -> Panel:
    """Return the panel with its title, description, unit and data source."""
    return panel.title(title).description(description).unit(unit).datasource(DATASOURCE)


def number(
    title: str,
    description: str,
    unit: str,
    expr: str,
    thresholds: Steps = ((None, BLUE),),
    *,
    empty: str = UNKNOWN,
    says: Mapping[int, tuple[str, str]] | None = None,
    of_worker: bool = True,
) -> stat.Panel:
    """Return one big number; `empty` is the text without one, `says` has the words and colours of values.

    While no worker answers, the text of a figure `of_worker` is UNKNOWN: nobody knows then whether there is none.
    """
    last = shared.ReduceDataOptions().calcs(["lastNotNull"]).values(False)
    mapped = dict(says or {})
    if of_worker and empty != UNKNOWN:
        expr = f'({expr})\nor on () absent(max_over_time(up{{job="<<job>>"}}[1m]) == 1) * {NOT_LIVE}'
        mapped[NOT_LIVE] = (UNKNOWN, GREY)
    return (
        described(stat.Panel(), title, description, unit)
        .with_target(instant(expr))
        .mappings(words(mapped) if mapped else [])
        .thresholds(steps(thresholds))
        .reduce_options(last)
        .graph_mode(options.BigValueGraphMode.NONE)
        .color_mode(options.BigValueColorMode.VALUE)
        .no_value(empty)
    )


def measured(quantile: str) -> str:
    """Return the query of a quantile without NaN, which Prometheus answers where nothing was measured.

    In a table, NaN would stand in place of the text for no value.
    """
    return f"{quantile} >= 0"


def bars(
    title: str, description: str, unit: str, targets: Sequence[Dataquery], *, empty: str = NO_FIGURES
) -> bargauge.Panel:
    """Return horizontal bars, one per series; `empty` is the text without any."""
    last = shared.ReduceDataOptions().calcs(["lastNotNull"]).values(False)
    return (
        described(bargauge.Panel(), title, description, unit)
        .targets(list(targets))
        .thresholds(steps(((None, BLUE),)))
        .reduce_options(last)
        .orientation(options.VizOrientation.HORIZONTAL)
        .display_mode(options.BarGaugeDisplayMode.BASIC)
        .sizing(options.BarGaugeSizing.MANUAL)
        .min_viz_height(THINNEST)
        .max_viz_height(THICKEST)
        .min(0)
        .text(shared.VizTextDisplayOptions().value_size(14))
        .no_value(empty)
    )


def legend() -> shared.VizLegendOptions:
    """Return a legend below the panel."""
    return (
        shared.VizLegendOptions()
        .display_mode(options.LegendDisplayMode.LIST)
        .placement(options.LegendPlacement.BOTTOM)
        .show_legend(True)
        .calcs([])
    )


def lines(
    title: str, description: str, unit: str, targets: Sequence[Dataquery], *, least: float | None = 0
) -> timeseries.Panel:
    """Return lines over time. The axis begins at `least`; None: it fits the lines."""
    panel = (
        described(timeseries.Panel(), title, description, unit)
        .targets(list(targets))
        .line_width(2)
        .fill_opacity(8)
        .show_points(options.VisibilityMode.NEVER)
        .legend(legend())
        .no_value(NO_FIGURES)
        .tooltip(shared.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI))
    )
    return panel if least is None else panel.min(least)


def dashed() -> list[dashboard.DynamicConfigValue]:
    """Return the properties of a line that is an expectation, not a measurement."""
    return override(
        custom_lineStyle={"fill": "dash", "dash": [8, 8]},
        custom_fillOpacity=0,
        color={"mode": "fixed", "fixedColor": GREY},
    )


def override(**properties: object) -> list[dashboard.DynamicConfigValue]:
    """Return the properties of an override; `custom_x` stands for Grafana's `custom.x`."""
    return [
        dashboard.DynamicConfigValue(id_val=name.replace("custom_", "custom.", 1), value=value)
        for name, value in properties.items()
    ]


def _picker(name: str, label: str, of: str, regex: str = "", *, many: bool = True) -> dashboards.QueryVariable:
    picker = (
        dashboards.QueryVariable(name)
        .label(label)
        .datasource(DATASOURCE)
        .query({"query": of, "refId": name})
        .regex(regex)
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
    )
    if not many:
        return picker.multi(False).include_all(False)
    every = dashboard.VariableOption(selected=True, text=["All"], value=["$__all"])
    return picker.multi(True).include_all(True).all_value(".+").current(every)


def variables(*, one: bool = False, picked: bool = True) -> list[Builder[dashboard.VariableModel]]:
    """Return the variables that the reader may select: data source, team, manager; with `one` a single manager.

    A board that is not about managers keeps their selection for the others, and does not show it (`picked` false).
    """
    pickers = [
        _picker("team", "Team", f"query_result({TEAM_NAMES})", TEAM_NAMED),
        _picker("manager", "Manager", f'query_result({NAMES}{{team=~"$team", {NO_QUEUE}}})', NAMED, many=not one),
    ]
    if not picked:
        pickers = [picker.hide(dashboard.VariableHide.HIDE_VARIABLE) for picker in pickers]
    return [dashboards.DatasourceVariable("datasource").label("Data source").type("prometheus"), *pickers]


def _page(config: Config) -> list[dashboards.DashboardLink]:
    """Return the link to the selected manager's page in the CRM, if the settings name one."""
    address = pages.of_manager(config.settings.links.manager, "${manager:percentencode}")
    if not address:
        return []
    return [dashboards.DashboardLink("CRM").type(dashboard.DashboardLinkType.LINK).url(address).target_blank(True)]


def _links(config: Config) -> dashboards.DashboardLink:
    """Return the links to the other boards. They keep the selection of the reader."""
    return (
        dashboards.DashboardLink("callpulse")
        .type(dashboard.DashboardLinkType.DASHBOARDS)
        .tags([config.uid])
        .include_vars(True)
        .keep_time(True)
    )


def kiosk(name: str) -> dashboards.DashboardLink:
    """Return the link to a board without Grafana's menus, for a screen on the wall. It keeps the selection."""
    return (
        dashboards.DashboardLink("Full screen")
        .type(dashboard.DashboardLinkType.LINK)
        .url(f"/d/<<uid>>-{name}?kiosk")
        .icon("dashboard")
        .include_vars(True)
        .keep_time(True)
    )


def assemble(
    config: Config,
    name: str,
    title: str,
    description: str,
    panels: Sequence[Placed],
    *,
    one: bool = False,
    picked: bool = True,
    since: str = "now-9h",
) -> dashboards.Dashboard:
    """Return the board. Panels are numbered in the order given; a row holds the panels after it."""
    made = (
        dashboards.Dashboard(title)
        .uid(f"{config.uid}-{name}")
        .description(description)
        .tags([config.uid])
        .readonly()
        .timezone("browser")
        .refresh("<<refresh>>")
        .time(since, "now")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .link(_links(config))
        .variables(variables(one=one, picked=picked))
    )
    for link in _page(config) if one else ():
        made = made.link(link)
    for number_, (x, y, width, height, panel) in enumerate(panels, start=1):
        place = dashboard.GridPos(x=x, y=y, w=width, h=height)
        if isinstance(panel, dashboards.Row):
            made = made.with_row(panel.id(number_).grid_pos(place))
        else:
            made = made.with_panel(panel.id(number_).grid_pos(place))
    return made
