"""The receiver of docs/how-to/receive-a-webhook.md, run as it is written there."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from musterbook.directory.agency import webhook_secrets, webhooks
from tests.directory import cast
from tests.feeds.servers import find_port
from tests.webhooks.conftest import Clock, Hook, make_hook

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "receive-a-webhook.md"
(SCRIPT,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def hook(transactional_db: None) -> Hook:
    """An agency with a webhook, at the time of the real clock, because the script looks at it."""
    return make_hook("springfield", f"http://localhost:{find_port()}/", Clock(datetime.now(UTC)))


@pytest.fixture
def script(hook: Hook, tmp_path: Path) -> "Iterator[subprocess.Popen[str]]":
    """The script, which listens at the address of the webhook."""
    path, port = tmp_path / "receiver.py", hook.endpoint.address.rpartition(":")[2].strip("/")
    path.write_text(SCRIPT, encoding="utf-8")
    environment = {**os.environ, "WEBHOOK_SECRET": hook.secret}
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, path, port], env=environment, stdout=pipe, text=True) as process:
        for _ in range(200):
            try:
                httpx2.post(hook.endpoint.address, content=b"")
                break
            except httpx2.ConnectError:
                time.sleep(0.05)
        try:
            yield process
        finally:
            process.kill()


def test_the_script_takes_what_musterbook_signs_once(hook: Hook, script: "subprocess.Popen[str]") -> None:
    message = hook.test()
    hook.work()
    webhooks.send_again(hook.endpoint, message.webhook_id, hook.context(), None)
    hook.work()
    webhooks.rotate(hook.endpoint, 24, hook.context(), None)
    hook.apply(*cast.people(1))
    hook.work()
    assert hook.messages(delivered=False) == []
    assert script.stdout
    lines = [script.stdout.readline().split(" ")[0] for _ in range(3)]
    assert sorted(lines) == ["import.applied", "user.added", "webhook.test"]


def test_the_script_refuses_what_others_send(hook: Hook, script: "subprocess.Popen[str]") -> None:
    now = datetime.now(UTC)
    body = b'{"type":"user.added","data":{}}'

    def send(secret: str, at: datetime = now, content: bytes = body) -> int:
        headers = webhook_secrets.sign([secret], "msg_1_a", at, body)
        return httpx2.post(hook.endpoint.address, content=content, headers=headers).status_code

    assert send(hook.secret) == 204
    assert send(webhook_secrets.make_secret()) == 401
    assert send(hook.secret, now - timedelta(minutes=10)) == 401
    assert send(hook.secret, now + timedelta(minutes=10)) == 401
    assert send(hook.secret, content=body.replace(b"added", b"ended")) == 401
    assert httpx2.post(hook.endpoint.address, content=body).status_code == 401
