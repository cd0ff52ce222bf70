"""Small projects, each with what one kind of change needs, and the changes of it."""

from __future__ import annotations

from tests.support.change_cases.case import DBT
from tests.support.small_projects.macros import (
    BUILTIN_NAMES,
    DISPATCH,
    GRAPH,
    GRAPH_IN_SQL,
    HIERARCHY,
    HOOKS,
    SEARCH_ORDER,
)
from tests.support.small_projects.names import UNCHANGED_FILES
from tests.support.small_projects.project import SKELETON, Change, Small
from tests.support.small_projects.resources import EXTERNAL, FUNCTIONS, SEEDS, SEMANTIC, WHITE_SPACE
from tests.support.small_projects.settings import PROPERTIES, SETTINGS, STATEMENTS
from tests.support.small_projects.variables import COMPUTED, MENTIONED, VALUES, VARIABLE_FILE, VARIABLES

__all__ = ["SKELETON", "SMALL_PROJECTS", "Change", "Small"]

SMALL_PROJECTS = (
    *(GRAPH, GRAPH_IN_SQL, DISPATCH, SEARCH_ORDER, HIERARCHY, BUILTIN_NAMES, EXTERNAL, VARIABLES, COMPUTED),
    *(SETTINGS, STATEMENTS, SEEDS, SEMANTIC, WHITE_SPACE),
    *(MENTIONED, PROPERTIES, VALUES, UNCHANGED_FILES, HOOKS),
    # dbt-core 1.10 knows no functions, 1.11 no file of variables.
    *([FUNCTIONS] if DBT >= (1, 11) else ()),
    *([VARIABLE_FILE] if DBT >= (1, 12) else ()),
)
