"""What the team checks in Python, on the relations that a pull request builds."""

import pytest


@pytest.mark.dbt_needs("fact_dogs")
def test_nobody_pays_more_than_on_master(dbt_plan, dbt_relation, dbt_query):
    if not dbt_plan.destination.defer_target:
        pytest.skip("without a deferral target there is no master to compare with")
    prices = "select stay_id, price_kronor from {} where price_kronor is not null"
    before = dict(dbt_query(prices.format(dbt_relation("fact_dogs", deferred=True))))
    after = dict(dbt_query(prices.format(dbt_relation("fact_dogs"))))
    assert {stay: price for stay, price in after.items() if price > before.get(stay, price)} == {}


@pytest.mark.dbt_needs("top_dogs")
def test_no_dog_brings_more_than_a_fifth_of_the_income(dbt_query):
    rows = dbt_query("select name, paid_kronor from {{ ref('top_dogs') }}").dicts()
    income = sum(row["paid_kronor"] for row in rows)
    assert [row["name"] for row in rows if row["paid_kronor"] > income / 5] == []


@pytest.mark.dbt_needs("dim_dog", deferred=True)
def test_a_name_fits_on_the_collar(dbt_query):
    # A model that the pull request leaves alone is read where master has it.
    names = [name for (name,) in dbt_query("select name from {{ ref('dim_dog') }}")]
    assert names
    assert [name for name in names if len(name) > 12] == [], "twelve letters can be engraved"
