"""The function behind the alarm topic: cards posted to a real local server, the URL in a (moto) secret."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.error import HTTPError

import boto3
import pytest
from moto import mock_aws

from deploy import teams_card

SECRET_PATH = "/workflows/paths/invoke?sig=signature-of-the-flow"
ALARM = {
    "AlarmName": "dbt-prod-datamart-errors",
    "AlarmDescription": "dbt wrote error lines",
    "NewStateValue": "ALARM",
    "NewStateReason": "Threshold Crossed: 1 datapoint [3.0] was greater than the threshold (0.0).",
}
STOPPED = {
    "source": "aws.ecs",
    "detail-type": "ECS Task State Change",
    "detail": {
        "taskArn": "arn:aws:ecs:eu-west-1:123456789012:task/dbt-prod-datamart/0123",
        "stoppedReason": "Essential container in task exited",
        "containers": [{"name": "dbt", "exitCode": 2}],
    },
}
NOT_STARTED = {
    **STOPPED,
    "detail": {
        "taskArn": "arn:aws:ecs:eu-west-1:123456789012:task/dbt-prod-datamart/4567",
        "stoppedReason": "Task failed to start",
        "containers": [{"name": "dbt", "reason": "CannotPullContainerError: released: not found"}],
    },
}


class Webhook(HTTPServer):
    """Answer each post with `status` and keep what was posted."""

    status = 202

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Post)
        self.posts: list[tuple[str, str, dict[str, Any]]] = []


class Post(BaseHTTPRequestHandler):
    """Keep path, content type and body of one post."""

    def do_POST(self) -> None:
        assert isinstance(self.server, Webhook)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.posts.append((self.path, self.headers["Content-Type"], body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    """Run a local webhook whose URL is in a secret that the function's environment names."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with mock_aws(), Webhook() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}{SECRET_PATH}\n"
        secret = boto3.client("secretsmanager").create_secret(Name="teams", SecretString=url)
        monkeypatch.setenv("WEBHOOK_SECRET_ARN", secret["ARN"])
        monkeypatch.setenv("PROJECT", "prod datamart")
        monkeypatch.setenv("LOG_URL", "https://console.example/log")
        yield server
        server.shutdown()


def sns(*messages: object, subject: str | None = None) -> dict[str, Any]:
    """Return the event that SNS hands to a function."""
    texts = [message if isinstance(message, str) else json.dumps(message) for message in messages]
    return {"Records": [{"Sns": {"Subject": subject, "Message": text}} for text in texts]}


def texts(body: dict[str, Any]) -> list[str]:
    """Return the card's lines, after checking what Workflows needs around them."""
    assert body["type"] == "message"
    (attachment,) = body["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    content = attachment["content"]
    assert (content["type"], content["version"]) == ("AdaptiveCard", "1.4")
    assert content["actions"][0]["url"] == "https://console.example/log"
    assert all(block["type"] == "TextBlock" and block["wrap"] for block in content["body"])
    return [block["text"] for block in content["body"]]


def test_posts_an_alarm_to_the_url_in_the_secret(webhook: Webhook) -> None:
    teams_card.handler(sns(ALARM), None)
    ((path, content_type, body),) = webhook.posts
    assert (path, content_type) == (SECRET_PATH, "application/json")
    assert texts(body) == [
        "dbt prod datamart: ALARM: dbt-prod-datamart-errors",
        ALARM["AlarmDescription"],
        ALARM["NewStateReason"],
    ]


def test_says_the_exit_code_of_a_stopped_task(webhook: Webhook) -> None:
    teams_card.handler(sns(STOPPED), None)
    assert texts(webhook.posts[0][2])[:3] == [
        "dbt prod datamart: The dbt task failed",
        "Essential container in task exited",
        "dbt: exit code 2",
    ]


def test_says_why_a_task_did_not_start(webhook: Webhook) -> None:
    teams_card.handler(sns(NOT_STARTED), None)
    lines = texts(webhook.posts[0][2])
    assert lines[2:4] == ["dbt: exit code none", "CannotPullContainerError: released: not found"]


@pytest.mark.parametrize("message", ["plain text", '"a string"', "[1]", '{"other": "form"}'])
def test_passes_on_a_message_that_it_does_not_know(webhook: Webhook, message: str) -> None:
    teams_card.handler(sns(message, subject="Budget"), None)
    assert texts(webhook.posts[0][2]) == ["dbt prod datamart: Budget", message]


def test_posts_one_card_for_each_record(webhook: Webhook) -> None:
    teams_card.handler(sns(ALARM, STOPPED), None)
    assert len(webhook.posts) == 2


def test_stays_below_what_a_webhook_takes(webhook: Webhook) -> None:
    teams_card.handler(sns({**ALARM, "NewStateReason": "x" * 100_000}), None)
    assert len(json.dumps(webhook.posts[0][2])) < 28_000


@pytest.mark.parametrize("status", [400, 404, 429, 500])
def test_fails_when_the_webhook_refuses_and_keeps_its_url_out_of_the_error(webhook: Webhook, status: int) -> None:
    webhook.status = status
    with pytest.raises(HTTPError) as caught:
        teams_card.handler(sns(ALARM), None)
    assert caught.value.code == status
    assert "signature-of-the-flow" not in str(caught.value) + repr(caught.value)
    caught.value.close()
