"""Post what the alarm topic says to a Teams channel, as an Adaptive Card.

A Lambda function behind SNS. `template.yaml` carries this file word for word (a test compares them).
Environment: WEBHOOK_SECRET_ARN, a secret whose text is the webhook's URL; PROJECT and LOG_URL, for the card.
"""

from __future__ import annotations

import json
import os
import urllib.request
from typing import Any

import boto3

# A Workflows webhook takes 28 KB in all; a reason or an error text is cut well below that.
TEXT_LIMIT = 2000


def handler(event: dict[str, Any], context: object) -> None:
    """Post one card for each SNS record.

    An answer of 400 or more raises: Lambda tries twice again, then leaves the event in the dead-letter queue.
    """
    secrets = boto3.client("secretsmanager")
    url = secrets.get_secret_value(SecretId=os.environ["WEBHOOK_SECRET_ARN"])["SecretString"].strip()
    for record in event["Records"]:
        title, lines = describe(record["Sns"])
        request = urllib.request.Request(
            url,
            data=json.dumps(card(title, lines)).encode(),
            headers={"Content-Type": "application/json"},
            method="POST",
        )
        urllib.request.urlopen(request, timeout=10).close()


def describe(sns: dict[str, Any]) -> tuple[str, list[str | None]]:
    """Return a title and the lines below it for an alarm, a stopped task, or any other message."""
    try:
        message = json.loads(sns["Message"])
    except ValueError:
        message = None
    if not isinstance(message, dict):
        return sns.get("Subject") or "Message", [sns["Message"]]
    if "AlarmName" in message:
        title = f"{message['NewStateValue']}: {message['AlarmName']}"
        return title, [message.get("AlarmDescription"), message.get("NewStateReason")]
    if message.get("detail-type") == "ECS Task State Change":
        task = message["detail"]
        exits = [f"{c['name']}: exit code {c.get('exitCode', 'none')}" for c in task.get("containers", [])]
        reasons = [c["reason"] for c in task.get("containers", []) if c.get("reason")]
        return "The dbt task failed", [task.get("stoppedReason"), *exits, *reasons, task.get("taskArn")]
    return sns.get("Subject") or "Message", [sns["Message"]]


def card(title: str, lines: list[str | None]) -> dict[str, Any]:
    """Return the message that a Workflows webhook expects: one Adaptive Card with a link to the log."""
    project = os.environ["PROJECT"]
    texts = [{"type": "TextBlock", "text": line[:TEXT_LIMIT], "wrap": True} for line in lines if line]
    heading = {"type": "TextBlock", "text": f"dbt {project}: {title}", "weight": "bolder", "wrap": True}
    content = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [{**heading, "size": "medium", "color": "attention"}, *texts],
        "actions": [{"type": "Action.OpenUrl", "title": "Open the log", "url": os.environ["LOG_URL"]}],
    }
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": content,
    }
    return {"type": "message", "attachments": [attachment]}
