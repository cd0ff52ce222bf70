"""Tell SQL whose rows follow from the rows that it reads alone: not from their order, the time, chance or a catalog."""

from __future__ import annotations

import re

from pytest_dbtci.dbt_host.sql_tokens import TOKEN
from pytest_dbtci.project import references

CHANCE = re.compile(
    r"\b(rand|\w*random\w*|setseed|sample|tablesample|\w*uuid\w*|newid|now|today|tomorrow|yesterday|getdate|sysdate|"
    r"age(?=\s*\()|timeofday|(clock|statement|transaction)_timestamp|localtime|localtimestamp|\w*current_\w+|\w*txid\w*|"
    r"pg_\w+|(cur|last|next|set)val|collat\w+|(session|system)_user|user)\b",
    re.IGNORECASE,
)
"""What depends on the time, on chance or on the session; and collations, which not every warehouse shows."""

_ORDER = re.compile(
    r"\b(limit|offset|fetch|top|over|qualify|distinct\s+on|pivot|crosstab|positional|asof|match_recognize|"
    r"rowid|row_id|ctid|[cx]m(in|ax)|tableoid|ordinality)\b",
    re.IGNORECASE,
)
"""What depends on the order in which rows are read, or on where they lie."""

_ELSEWHERE = re.compile(r"\b(information_schema|(svv|stl|stv|svl|duckdb)_\w+|pragma\w*)\b", re.IGNORECASE)
"""What reads something that dbt knows nothing of, besides functions."""

_BEFORE_PARENTHESIS = frozenset(
    {
        *("all", "and", "any", "as", "between", "by", "case", "cube", "distinct", "else", "except", "exists"),
        *("filter", "from", "having", "in", "intersect", "is", "join", "lateral", "like", "not", "on", "or"),
        *("rollup", "select", "sets", "some", "then", "union", "using", "values", "when", "where", "with"),
        *("bit", "bpchar", "char", "character", "dec", "decimal", "double", "float", "interval", "number"),
        *("numeric", "string", "text", "time", "timestamp", "timestamptz", "varbinary", "varbyte", "varchar"),
        "varying",
    }
)
"""Words behind which a parenthesis is no call: clauses, and types with a size."""

_FUNCTIONS = frozenset(
    {
        *("abs", "acos", "add_months", "ascii", "asin", "atan", "atan2", "avg", "bit_length", "bool_and", "bool_or"),
        *("btrim", "cast", "cbrt", "ceil", "ceiling", "char_length", "character_length", "charindex", "chr"),
        *("coalesce", "concat", "concat_ws", "contains", "cos", "count", "count_if", "date", "date_add", "date_diff"),
        *("date_part", "date_sub", "date_trunc", "dateadd", "datediff", "datepart", "datetrunc", "day", "dayname"),
        *("dayofmonth", "dayofweek", "dayofyear", "decode", "degrees", "ends_with", "epoch", "every", "exp"),
        *("extract", "floor", "generate_series", "greatest", "grouping", "hour", "if", "ifnull", "iff", "initcap"),
        *("instr", "isfinite", "isnan", "last_day", "least", "left", "len", "length", "ln", "log", "log10", "log2"),
        *("lower", "lpad", "ltrim", "make_date", "make_time", "make_timestamp", "max", "md5", "mean", "min", "minute"),
        *("mod", "month", "monthname", "months_between", "nullif", "nvl", "nvl2", "octet_length", "overlay", "pi"),
        *("position", "pow", "power", "quarter", "radians", "regexp_count", "regexp_extract", "regexp_instr"),
        *("regexp_matches", "regexp_replace", "regexp_substr", "repeat", "replace", "reverse", "right", "round"),
        *("rpad", "rtrim", "second", "sha1", "sha2", "sha256", "sign", "sin", "split_part", "sqrt", "starts_with"),
        *("stddev", "stddev_pop", "stddev_samp", "strftime", "strpos", "strptime", "substr", "substring", "sum"),
        *("tan", "to_char", "to_date", "to_hex", "to_number", "to_timestamp", "translate", "trim", "trunc"),
        *("try_cast", "upper", "var_pop", "var_samp", "variance", "week", "year", "zeroifnull"),
    }
)
"""Functions that give the same for the same values, and aggregates that do so in whatever order these come."""


def follows_from_rows(sql: str) -> bool:
    """Whether that is sure: it calls nothing but functions known by name, none of a schema, and names no file."""
    kinds, words, at = list[str](), list[str](), 0
    while at < len(sql):
        token = TOKEN.match(sql, at)
        if token is None:
            return False
        kind, at = token.lastgroup or "", token.end()
        if kind not in ("space", "comment"):
            kinds.append(kind)
            words.append(token[0].lower())
    code = " ".join("''" if kind == "string" else word for kind, word in zip(kinds, words, strict=True))
    # A warehouse may read 'now' as a moment.
    if CHANCE.search(" ".join(words)) or _ORDER.search(code) or _ELSEWHERE.search(code):
        return False
    named = (word for kind, word in zip(kinds, words, strict=True) if kind in ("string", "quoted"))
    if any(references.names_data(word) for word in named) or re.search(r"\b(from|join) ''", code):
        return False
    return all(_is_known(kinds, words, n - 1) for n, word in enumerate(words) if word == "(" and n)


def _is_known(kinds: list[str], words: list[str], at: int) -> bool:
    """Whether what stands before a parenthesis calls nothing, or a known function."""
    kind, word = kinds[at], words[at]
    if kind == "quoted" or (kind == "word" and words[at - 1 : at] == ["."]):
        return False
    return kind != "word" or word in _BEFORE_PARENTHESIS or word in _FUNCTIONS
