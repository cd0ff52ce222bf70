"""The CloudFormation template: valid, least rights, and alarms that can't be deceived by silence."""

from __future__ import annotations

import re
from typing import Any

import dukpy
import pytest
import yaml
from cfnlint.api import lint_file

from tests.deploy import DEPLOY
from tests.deploy.cloudformation import REQUIRED, stack
from tests.deploy.patterns import event_matches

TEMPLATE = DEPLOY / "template.yaml"
EVERYTHING = {
    "TeamsWebhookSecretArn": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:teams-AbCdEf",
    "DocsViewers": "203.0.113.0/24,198.51.100.7/32",
    "ProjectArchive": "s3://dbt-prod-datamart-123456789012/projects/project.tar.gz",
    "DbtArguments": ["--select", "tag:hourly"],
}


def statements(**parameters: Any) -> dict[str, list[dict[str, Any]]]:
    """Return the statements of every identity policy, by the resource that holds it."""
    return {
        name: [
            statement
            for policy in properties.get("Policies", [properties])
            for statement in policy["PolicyDocument"]["Statement"]
        ]
        for name, properties in stack(**parameters).resources().items()
        if name.endswith("Role") or name == "ReleasePolicy"
        if "Policies" in properties or "PolicyDocument" in properties
    }


def container(**parameters: Any) -> dict[str, Any]:
    (only,) = stack(**parameters).resources()["TaskDefinition"]["ContainerDefinitions"]
    assert isinstance(only, dict)
    return only


def test_is_clean_for_cfn_lint() -> None:
    assert [str(match) for match in lint_file(TEMPLATE)] == []


def test_uses_no_yaml_alias_because_cloudformation_refuses_them() -> None:
    tokens = yaml.scan(TEMPLATE.read_text())
    assert not [token for token in tokens if isinstance(token, yaml.AliasToken | yaml.AnchorToken)]


def test_carries_the_teams_card_word_for_word() -> None:
    function = stack(**EVERYTHING).resources()["CardFunction"]
    assert function["Code"]["ZipFile"] == (DEPLOY / "teams_card.py").read_text()
    assert function["Handler"] == "index.handler"


@pytest.mark.parametrize(("email", "teams", "accepted"), [("", "", False), ("a@b.c", "", True), ("", "arn", True)])
def test_is_refused_when_nobody_would_be_told_of_an_alarm(email: str, teams: str, accepted: bool) -> None:
    assert stack(AlarmEmail=email, TeamsWebhookSecretArn=teams).accepted() is accepted


# --- the task ---


def test_injects_each_key_of_the_secret_by_itself() -> None:
    secrets = {secret["Name"]: secret["ValueFrom"] for secret in container()["Secrets"]}
    arn = REQUIRED["WarehouseSecretArn"]
    assert secrets == {
        "REDSHIFT_HOST": f"{arn}:host::",
        "REDSHIFT_PORT": f"{arn}:port::",
        "REDSHIFT_USER": f"{arn}:username::",
        "REDSHIFT_DATABASE": f"{arn}:dbname::",
        "DBT_ENV_SECRET_REDSHIFT_PASSWORD": f"{arn}:password::",
    }


def test_gives_every_variable_that_the_profile_has_no_default_for() -> None:
    required = set(re.findall(r"env_var\('(\w+)'\)", (DEPLOY / "profiles.yml").read_text()))
    optional = set(re.findall(r"env_var\('(\w+)', ", (DEPLOY / "profiles.yml").read_text()))
    given = {entry["Name"] for key in ("Secrets", "Environment") for entry in container()[key]}
    assert required <= given <= required | optional


def test_runs_the_target_of_its_environment_with_the_released_image() -> None:
    task = container(Environment="staging")
    assert {"Name": "DBT_TARGET", "Value": "staging"} in task["Environment"]
    assert task["Image"] == "<Repository.RepositoryUri>:released"
    assert "Command" not in task


def test_a_second_project_shares_the_image_and_fetches_its_own_archive() -> None:
    chosen = stack(Project="finance", ImageRepository="dbt-prod-datamart", **EVERYTHING)
    task = chosen.resources()["TaskDefinition"]["ContainerDefinitions"][0]
    assert "Repository" not in chosen.resources()
    assert task["Image"] == "123456789012.dkr.ecr.eu-west-1.amazonaws.com/dbt-prod-datamart:released"
    assert {"Name": "DBT_PROJECT_S3", "Value": EVERYTHING["ProjectArchive"]} in task["Environment"]
    assert task["Command"] == ["--select", "tag:hourly"]


def test_logs_without_dropping_lines_that_alarms_read() -> None:
    log = container()["LogConfiguration"]
    assert log["LogDriver"] == "awslogs"
    assert (log["Options"]["awslogs-group"], log["Options"]["mode"]) == ("<LogGroup>", "blocking")
    assert stack().resources()["LogGroup"]["RetentionInDays"] == 30


# --- rights ---


def test_no_identity_may_do_more_than_it_has_to() -> None:
    rights = {
        name: {action for statement in found for action in _listed(statement["Action"])}
        for name, found in statements(**EVERYTHING).items()
    }
    pull = {"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"}
    push = {"ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage"}
    log = {"logs:CreateLogStream", "logs:PutLogEvents"}
    assert rights == {
        "ExecutionRole": {"secretsmanager:GetSecretValue", "ecr:GetAuthorizationToken", *pull, *log},
        "TaskRole": {"s3:GetObject"},
        "SchedulerRole": {"ecs:RunTask", "iam:PassRole", "sqs:SendMessage"},
        "CardRole": {"secretsmanager:GetSecretValue", "sqs:SendMessage", *log},
        "ReleasePolicy": {"s3:PutObject", "ecr:GetAuthorizationToken", *pull, *push},
    }


def test_only_the_registry_login_is_allowed_on_everything() -> None:
    for name, found in statements(**EVERYTHING).items():
        for statement in found:
            if statement["Action"] != "ecr:GetAuthorizationToken":
                assert "*" not in _listed(statement["Resource"]), (name, statement)


def test_dbt_may_do_nothing_in_aws_but_read_its_own_archive() -> None:
    assert "TaskRole" not in statements()
    (statement,) = statements(**EVERYTHING)["TaskRole"]
    assert statement["Resource"] == "arn:aws:s3:::dbt-prod-datamart-123456789012/projects/project.tar.gz"


def test_the_scheduler_may_start_this_task_in_this_cluster_only() -> None:
    run, hand_over, _ = statements()["SchedulerRole"]
    assert run["Resource"] == "arn:aws:ecs:eu-west-1:123456789012:task-definition/dbt-prod-datamart:*"
    assert run["Condition"] == {"ArnEquals": {"ecs:cluster": "<Cluster.Arn>"}}
    assert hand_over["Resource"] == ["<ExecutionRole.Arn>", "<TaskRole.Arn>"]
    assert hand_over["Condition"] == {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}


def test_the_release_may_write_its_three_objects_only() -> None:
    (upload,) = [s for s in statements()["ReleasePolicy"] if s["Action"] == "s3:PutObject"]
    objects = ["docs/index.html", "state/manifest.json", "projects/project.tar.gz"]
    assert upload["Resource"] == [f"<Bucket.Arn>/{name}" for name in objects]


def test_a_second_projects_release_may_not_push_the_first_ones_image() -> None:
    found = statements(Project="finance", ImageRepository="dbt-prod-datamart")["ReleasePolicy"]
    assert [s["Action"] for s in found] == ["s3:PutObject"]
    (bucket,) = {r.partition("/")[0] for s in found for r in s["Resource"]}
    assert bucket == "<Bucket.Arn>"


def test_nothing_that_a_failed_first_deployment_leaves_is_in_the_way_of_the_next() -> None:
    # What is kept has a name, and a second creation of that name would fail.
    kept = {n: r["DeletionPolicy"] for n, r in stack().template["Resources"].items() if "DeletionPolicy" in r}
    assert {n for n, policy in kept.items() if policy != "Delete"} == {"Repository", "LogGroup", "Bucket"}
    assert {kept[n] for n in ("Repository", "LogGroup", "Bucket")} == {"RetainExceptOnCreate"}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


# --- the schedule ---


def test_retries_a_start_twice_then_keeps_it_for_an_alarm() -> None:
    timer = stack().resources()["Timer"]
    assert timer["FlexibleTimeWindow"] == {"Mode": "OFF"}
    assert timer["Target"]["Arn"] == "<Cluster.Arn>"
    assert timer["Target"]["RetryPolicy"] == {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 1800}
    assert timer["Target"]["DeadLetterConfig"] == {"Arn": "<Undelivered.Arn>"}
    dimensions = stack().resources()["UndeliveredAlarm"]["Dimensions"]
    assert dimensions == [{"Name": "QueueName", "Value": "<Undelivered.QueueName>"}]


# --- alarms ---


def test_every_alarm_and_the_failed_task_tell_the_topic() -> None:
    resources = stack(**EVERYTHING).resources()
    alarms = [name for name in resources if name.endswith("Alarm")]
    assert sorted(alarms) == ["ErrorAlarm", "SilenceAlarm", "UndeliveredAlarm"]
    assert all(resources[name]["AlarmActions"] == ["<AlarmTopic>"] for name in alarms)
    assert [target["Arn"] for target in resources["TaskFailed"]["Targets"]] == ["<AlarmTopic>"]
    told = {resources[name]["Protocol"]: resources[name]["TopicArn"] for name in _subscriptions(resources)}
    assert told == {"email": "<AlarmTopic>", "lambda": "<AlarmTopic>"}


def _subscriptions(resources: dict[str, Any]) -> list[str]:
    return [name for name in resources if name.endswith("Subscription")]


def test_eventbridge_publishes_without_a_condition_that_it_could_not_meet() -> None:
    policy = stack().resources()["AlarmTopicPolicy"]["PolicyDocument"]["Statement"]
    conditions = {statement["Principal"]["Service"]: statement.get("Condition") for statement in policy}
    assert conditions == {
        "events.amazonaws.com": None,
        "cloudwatch.amazonaws.com": {"StringEquals": {"aws:SourceAccount": "123456789012"}},
    }


def test_error_lines_alarm_within_minutes_and_no_lines_are_no_error() -> None:
    resources = stack().resources()
    (metric,) = resources["ErrorLines"]["MetricTransformations"]
    alarm = resources["ErrorAlarm"]
    assert (alarm["Namespace"], alarm["MetricName"]) == (metric["MetricNamespace"], metric["MetricName"])
    assert (metric["MetricValue"], metric["DefaultValue"]) == ("1", 0)
    assert (alarm["Statistic"], alarm["Period"], alarm["ComparisonOperator"]) == (
        "Sum",
        300,
        "GreaterThanThreshold",
    )
    assert (alarm["Threshold"], alarm["TreatMissingData"]) == (0, "notBreaching")


def test_a_day_without_a_log_line_alarms_even_if_there_never_was_one() -> None:
    alarm = stack().resources()["SilenceAlarm"]
    lines, filled = alarm["Metrics"]
    assert lines["MetricStat"]["Metric"]["MetricName"] == "IncomingLogEvents"
    assert lines["MetricStat"]["Metric"]["Dimensions"] == [{"Name": "LogGroupName", "Value": "<LogGroup>"}]
    assert (filled["Expression"], filled["ReturnData"], lines["ReturnData"]) == (
        "FILL(lines, 0)",
        True,
        False,
    )
    assert alarm["TreatMissingData"] == "breaching"
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("LessThanThreshold", 1)
    hours = alarm["EvaluationPeriods"] * lines["MetricStat"]["Period"] / 3600
    assert alarm["DatapointsToAlarm"] == alarm["EvaluationPeriods"]
    assert 24 < hours <= 168


def task_event(**detail: Any) -> dict[str, Any]:
    """Return what ECS sends when a task of the cluster changes, as far as the rule reads it."""
    stopped = {"clusterArn": "<Cluster.Arn>", "lastStatus": "STOPPED", "stopCode": "EssentialContainerExited"}
    return {"source": "aws.ecs", "detail-type": "ECS Task State Change", "detail": {**stopped, **detail}}


@pytest.mark.parametrize(
    ("detail", "alarms"),
    [
        pytest.param({"containers": [{"exitCode": 0}]}, False, id="success"),
        pytest.param({"containers": [{"exitCode": 1}]}, True, id="failed test or model"),
        pytest.param({"containers": [{"exitCode": 2}]}, True, id="usage error"),
        pytest.param({"containers": [{"exitCode": 137}]}, True, id="out of memory"),
        pytest.param({"containers": [{"exitCode": 0}, {"exitCode": 1}]}, True, id="one of two containers"),
        pytest.param({"containers": [{}], "stopCode": "TaskFailedToStart"}, True, id="image not pulled"),
        pytest.param({"containers": [{"exitCode": 0}], "stopCode": "UserInitiated"}, True, id="stopped by hand"),
        pytest.param({"containers": [{}], "lastStatus": "RUNNING"}, False, id="running"),
        pytest.param({"containers": [{"exitCode": 1}], "clusterArn": "other"}, False, id="another cluster"),
    ],
)
def test_the_task_rule_catches_a_bad_exit_and_a_failed_start(detail: dict[str, Any], alarms: bool) -> None:
    pattern = stack().resources()["TaskFailed"]["EventPattern"]
    assert event_matches(pattern, task_event(**detail)) is alarms


# --- docs ---


def test_publishes_no_documentation_until_somebody_says_for_whom() -> None:
    resources = stack().resources()
    assert not {"Distribution", "OriginAccess", "DocsViewersOnly"} & set(resources)
    effects = [s["Effect"] for s in resources["BucketPolicy"]["PolicyDocument"]["Statement"]]
    assert effects == ["Deny"]


def test_cloudfront_reads_the_page_but_neither_state_nor_project() -> None:
    resources = stack(**EVERYTHING).resources()
    assert set(resources["Bucket"]["PublicAccessBlockConfiguration"].values()) == {True}
    allow = resources["BucketPolicy"]["PolicyDocument"]["Statement"][1]
    assert allow["Principal"] == {"Service": "cloudfront.amazonaws.com"}
    assert (allow["Action"], allow["Resource"]) == ("s3:GetObject", "<Bucket.Arn>/docs/*")
    assert allow["Condition"]["StringEquals"]["AWS:SourceArn"].endswith(":distribution/<Distribution>")
    (origin,) = resources["Distribution"]["DistributionConfig"]["Origins"]
    assert origin["OriginPath"] == "/docs"
    assert origin["OriginAccessControlId"] == "<OriginAccess.Id>"


def visit(ip: str, viewers: str) -> Any:
    """Return what CloudFront's function makes of a request: the request itself, or an answer of its own."""
    function = stack(DocsViewers=viewers).resources()["DocsViewersOnly"]["FunctionCode"]
    event = {"viewer": {"ip": ip}, "request": {"uri": "/index.html"}}
    return dukpy.evaljs([function, "handler(dukpy['event'])"], event=event)


@pytest.mark.parametrize(
    ("ip", "let_in"),
    [
        ("203.0.113.0", True),
        ("203.0.113.255", True),
        ("203.0.114.0", False),
        ("203.0.112.255", False),
        ("198.51.100.7", True),
        ("198.51.100.8", False),
        ("2001:db8::1", False),
    ],
)
def test_the_page_is_for_the_given_ranges_only(ip: str, let_in: bool) -> None:
    forbidden: dict[str, Any] = {"statusCode": 403, "statusDescription": "Forbidden"}
    answer = visit(ip, "203.0.113.0/24,198.51.100.7/32")
    assert answer == ({"uri": "/index.html"} if let_in else forbidden)


def test_a_range_of_everything_is_everybody() -> None:
    assert visit("192.0.2.1", "0.0.0.0/0") == {"uri": "/index.html"}
