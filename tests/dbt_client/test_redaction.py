"""Secrets become stars wherever they turn up; a profile passes through as the user wrote it."""

from __future__ import annotations

import base64
import json
import stat
import textwrap
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pytest_dbtci.dbt_client.redaction import Redaction, secrets_of
from pytest_dbtci.dbt_host.warehouse_errors import explain, kind_of_trouble
from pytest_dbtci.project.profile import Profile

OUTPUTS: dict[str, dict[str, object]] = {
    "database": {"method": "database", "host": "h", "user": "u", "password": "{{ env_var('PW') }}", "dbname": "d"},
    "iam": {"method": "iam", "cluster_id": "c", "iam_profile": "p", "region": "eu-north-1", "autocreate": True},
    "keys": {"method": "iam", "access_key_id": "AKIA123456", "secret_access_key": "wJalr/K7+x", "is_serverless": True},
    "iam_role": {"method": "iam_role", "serverless_work_group": "w", "serverless_acct_id": "012345678901"},
    "browser": {
        "method": "browser_identity_center",
        "idc_region": "r",
        "issuer_url": "https://i",
        "idp_listen_port": 1,
    },
    "token": {
        "method": "oauth_token_identity_center",
        "token_endpoint": {"type": "okta", "request_url": "https://t", "request_data": "password=s3cret-data"},
    },
    "options": {"retries": 3, "retry_all": True, "db_groups": ["a"], "role": None, "port": "{{ 5439 | as_number }}"},
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_passes_every_field_of_an_output_through_but_its_schema(tmp_path: Path, name: str) -> None:
    output = {"type": "redshift", **OUTPUTS[name], "schema": "analytics", "threads": 4}
    profile = Profile(name="p", target="ci", file=tmp_path, outputs={"ci": output, "prod": {}})
    folder = profile.write(tmp_path / "private", "ci", "dbt_build_7")
    written = yaml.safe_load((folder / "profiles.yml").read_text())
    assert written == {"p": {"target": "ci", "outputs": {"ci": {**output, "schema": "dbt_build_7"}}}}
    assert stat.S_IMODE((folder / "profiles.yml").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_finds_the_secrets_of_a_profile_and_of_the_environment() -> None:
    environ = {"PW": "from-env", "DBT_ENV_SECRET_TOKEN": "by-name", "AWS_SECRET_ACCESS_KEY": "aws", "USER": "anton"}
    assert secrets_of(OUTPUTS, environ) == {
        "from-env", "by-name", "aws", "AKIA123456", "wJalr/K7+x", "password=s3cret-data",
    }  # fmt: skip
    other = {
        "pass": 12345678,
        "token": "{{ var('t') }}",
        "private_key_path": "/k",
        "secret": "{{ env_var('N', 'dflt') }}",
    }
    assert secrets_of({"ci": other}, {}, {"t": "from-vars"}) == {"12345678", "from-vars", "dflt"}


def test_finds_the_tokens_of_ci_providers_and_not_the_switches_beside_them() -> None:
    tokens = {
        **{name: f"{name}-value" for name in ("GITHUB_TOKEN", "GITLAB_TOKEN", "SYSTEM_ACCESSTOKEN", "CI_JOB_JWT")},
        **{name: f"{name}-value" for name in ("AWS_SECRET_ACCESS_KEY", "PGPASSWORD", "MY_API_KEY", "AZURE_PAT")},
    }
    switches = {
        "USE_TOKEN": "true",
        "TOKENIZERS_PARALLELISM": "off",
        "DB_PASSWORD": "",
        "MAX_SECRET": "12",
        "PATH": "p",
    }
    assert secrets_of({}, {**tokens, **switches}) == set(tokens.values())


@pytest.mark.parametrize(
    "name",
    [
        *("BITBUCKET_STEP_OIDC_TOKEN", "BUILDKITE_AGENT_ACCESS_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"),
        *("CI_REGISTRY_PASSWORD", "CI_NETRC_PASSWORD", "CIRCLE_OIDC_TOKEN_V2", "DBT_CLOUD_API_KEY", "VAULT_SECRET_ID"),
        *("SNOWFLAKE_PRIVATE_KEY_PASSPHRASE", "SNOWFLAKE_PRIVATE_KEY_B64", "GCP_CREDENTIALS_JSON", "AWS_SECRET_KEY"),
        *("MYSQL_PWD", "REDSHIFT_PW", "DB_PASSWORD_1", "API_TOKENS", "SLACK_WEBHOOK_URL", "SSH_KEY", "ENCRYPTION_KEY"),
    ],
)
def test_finds_what_other_providers_and_people_call_a_secret(name: str) -> None:
    assert secrets_of({}, {name: "hush-hush"}) == {"hush-hush"}


@pytest.mark.parametrize(
    "name", ["PWD", "OLDPWD", "GPG_KEY", "GITHUB_ACTOR_ID", "MONKEY", "KEYBOARD", "TOKENIZERS", "PASSENGER", "CSPWD"]
)
def test_takes_no_other_variable_for_a_secret(name: str) -> None:
    assert secrets_of({}, {name: "/home/anton"}) == frozenset()


def test_finds_passwords_in_addresses_of_the_environment() -> None:
    environ = {
        "DATABASE_URL": "postgres://me:p%40ss-word@host/db",
        "HTTPS_PROXY": "http://proxy.example.com:8080",
        "PIP_INDEX_URL": "https://user:index-pw@packages.example.com/simple",
        "STORE": "DefaultEndpointsProtocol=https;AccountName=dogs;AccountKey=abc/def+12==;EndpointSuffix=x",
        "SERVER": "Server=h;Uid=me;Pwd=odbc-pw;",
        "BASH_FUNC_login%%": "() {  token=$1; password=${2:-none}; secret=x\n}",
    }
    assert secrets_of({}, environ) == {"p%40ss-word", "p@ss-word", "index-pw", "abc/def+12==", "odbc-pw"}


def test_finds_passwords_in_addresses_and_what_jinja_makes_of_several_variables() -> None:
    output = {
        "path": "md:dogs?motherduck_token=tok-123456&x=1",
        "attach": [{"path": "postgres://me:p%40ss-word@host/db"}, {"path": "dbname=x password='quoted word' host=h"}],
        "plugins": [{"module": "sqlalchemy", "config": {"connection_url": "mysql://r:{{ env_var('DB_PW') }}@h"}}],
        "password": "{{ env_var('FIRST') ~ '-' ~ env_var('SECOND') | as_text }}",
        "secrets": [{"type": "s3", "key_id": "AKIAXYZ", "secret": "sss-secret"}],
        "host": "example.com:5432",
    }
    environ = {"DB_PW": "from-env", "FIRST": "one-half", "SECOND": "other-half"}
    assert secrets_of({"ci": output}, environ) == {
        *("tok-123456", "p%40ss-word", "p@ss-word", "quoted word", "from-env", "one-half", "other-half"),
        *("one-half-other-half", "AKIAXYZ", "sss-secret"),
    }


def test_cleans_every_file_of_a_target_path_but_the_users_data(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "manifest.json": '{"raw_code": "select \'hush-hush\'"}',
        "compiled/p/a.sql": "select 'hush-hush'",
        "graph.gpickle": b"\x80\x05hush-hush",
        "partial.msgpack": b"\x80\x05harmless",
        "external/dbt_build_7/a.csv": "hush-hush",
        "run_results.json": '{"args": {"vars": {"a": "pw"}}, "results": [{"message": "no hush-hush"}]}',
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    Redaction(["hush-hush", "pw"]).clean(tmp_path)
    assert json.loads((tmp_path / "manifest.json").read_text()) == {"raw_code": "select '***'"}
    assert (tmp_path / "compiled/p/a.sql").read_text() == "select '***'"
    assert not (tmp_path / "graph.gpickle").exists()
    assert (tmp_path / "partial.msgpack").exists()
    assert (tmp_path / "external/dbt_build_7/a.csv").read_text() == "hush-hush"
    cleaned = json.loads((tmp_path / "run_results.json").read_text())
    assert cleaned == {"args": {"vars": {"a": "***"}}, "results": [{"message": "no ***"}]}


@given(secret=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zs"]), min_size=6), around=st.text())
def test_lets_no_form_of_a_secret_through(secret: str, around: str) -> None:
    redaction = Redaction([secret])
    forms = (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], quote(secret, safe=""), secret.replace("'", "''"))
    for form in forms:
        assert form not in redaction.text(f"{around}{form}{around}") or form in f"{around}***{around}"


@given(secret=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Z"]), min_size=6), around=st.text())
def test_lets_nothing_of_a_secret_through_that_base64_made(secret: str, around: str) -> None:
    coded = base64.b64encode(f"user:{secret}".encode()).decode()
    for text in (coded, coded.translate(str.maketrans("+/", "-_"))):
        told = Redaction([secret]).text(f"{around}\nAuthorization: basic {text}").split("basic ")[-1]
        assert "***" in told
        # At each end stands a letter that is the secret's in a part of its bits only.
        assert secret.encode() not in base64.b64decode(told.replace("***", "") + "===", altchars=b"-_")


def test_hides_a_secret_that_is_broken_at_the_end_of_a_line() -> None:
    message = "it was not possible to log in with correct-horse-battery staple-of-mine, says the warehouse"
    for width in range(20, 90):
        told = Redaction(["correct-horse-battery staple-of-mine"]).text(textwrap.fill(message, width))
        assert not [part for part in ("correct", "horse", "battery", "staple", "mine") if part in told], told


def test_finds_the_key_of_a_service_account_that_is_given_as_a_text() -> None:
    account = json.dumps({"private_key": "-----BEGIN-----\nMIIEvQIBADANBg\n-----END-----", "project_id": "kennel"})
    output = {"method": "service-account-json", "keyfile_json": "{{ env_var('ACCOUNT') }}", "project": "kennel"}
    told = Redaction(secrets_of({"ci": output}, {"ACCOUNT": account})).text("kennel: no MIIEvQIBADANBg")
    assert told == "kennel: no ***"


def test_hides_a_short_secret_only_where_it_stands_alone() -> None:
    redaction = Redaction(["dbt", ""])
    assert redaction.text('user "root", password dbt: dbt_build_7 of dbt-core') == (
        'user "root", password ***: dbt_build_7 of ***-core'
    )


def test_hides_every_line_of_a_key() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END KEY-----"
    told = Redaction([key]).text("could not read\n  MIIEvQIBADANBg\n  kqhkiG9w0BAQEF")
    assert told == "could not read\n  ***\n  ***"


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Database Error in model a (models/a.sql)\n  1023\n  compiled code at target/a.sql", "serializable isolation"),
        ("could not serialize access due to read/write dependencies among transactions", "serializable isolation"),
        ("Database Error\n  FATAL:  sorry, too many clients already", "too many connections"),
        ('connection limit "500" exceeded for non-bootstrap users', "too many connections"),
        ("server closed the connection unexpectedly", "connection lost"),
        ("Runtime Error\n  server socket closed. Please check that client side networking", "connection lost"),
        ('connection to server at "h", port 1 failed: Connection refused', "warehouse not reachable"),
        ("Query (28572825) cancelled on user's request", "query cancelled"),
        ("canceling statement due to statement timeout", "query cancelled"),
        ("000630 (57014): Statement reached its statement or warehouse timeout of 60 second(s) and", "query cancelled"),
        ("000604 (57014): SQL execution canceled", "query cancelled"),
        ("000625 (57014): Statement '1' has locked table 'T' and this lock has not yet been released.", "lock timeout"),
        ("Disk Full", "disk full"),
        ('could not extend file "base/1": No space left on device', "disk full"),
        (
            'Runtime Error\n  IO Error: Could not write file "w": No space left on device',
            "disk full on this machine",
        ),
        ("[Errno 28] No space left on device: 'target/dbt_ci/run/a.sql'", "disk full on this machine"),
        ("IO Error: Could not set lock on file", "lock timeout"),
    ],
)
def test_tells_the_warehouses_trouble(message: str, kind: str) -> None:
    found = kind_of_trouble(message)
    assert found.startswith(kind)
    assert ("machine" in found) == ("machine" in kind)
    assert explain(found, message).startswith(f"{kind}")
    assert ("the warehouse's trouble" in explain(found, message)) == ("machine" not in kind)


@pytest.mark.parametrize(
    "message",
    [
        'Database Error in model a (models/a.sql)\n  column "b" does not exist',
        "Compilation Error in model a (models/a.sql)\n  too many connections, says a macro",
        "Database Error in model a\n  value 1023 is out of range",
        "Database Error in model a\n  permission denied for schema analytics",
        "",
    ],
)
def test_takes_what_is_the_models_fault_for_that(message: str) -> None:
    assert kind_of_trouble(message) == ""
