"""Who is named in `notify` is told once how a run ended, whatever became of it, and of nothing secret."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest

from batch_editor.config import NotifySettings, load_notify_settings
from batch_editor.notify import Message, addresses_of
from batch_editor.notify.by_apprise import tell_by_apprise
from batch_editor.output import locked
from batch_editor.text import redact
from tests.support.bench import KEY, Bench, arrived, job, jobs, sandbox
from tests.support.command import Finished
from tests.support.recorder import Recorder, http

HOOK = "/services/T024/B073/aSecretOfTheShop"
PING = "/ping/5d5b1f2c-aaaa-bbbb"
CERTIFICATE = Path(__file__).parents[1] / "faults" / "self_signed.pem"
HOST = socket.gethostname()
DONE = http(b"ok", content_type="text/plain")


def configure(bench: Bench, notify: Any, **settings: Any) -> None:
    (bench.folder / "config.yaml").write_text(json.dumps({"notify": notify, **settings}), encoding="utf-8")


def told(recorder: Recorder) -> list[str]:
    """The messages, as chats show them."""
    return [each.json["text"] for each in recorder.requests if each.method == "POST"]


def pings(recorder: Recorder) -> list[str]:
    return [each.path.removeprefix(PING) for each in recorder.requests if each.method == "GET"]


@pytest.fixture
async def hook(recorder: Recorder) -> Recorder:
    recorder.answer = DONE
    return recorder


async def test_the_message_of_a_run_with_failures(bench: Bench, hook: Recorder) -> None:
    configure(bench, {"to": hook.url + HOOK})
    async with sandbox(faults=("400:prompt~refuse",)) as provider:
        manifest = bench.write([*jobs(3), job("bad", "refuse"), job("worse", "refuse too")], name="spring.yaml")
        arguments = bench.run_arguments(manifest, provider, "--max-cost", "5")
        done = await bench.command(*arguments)
    assert done.code == 1
    (message,) = told(hook)
    title, counts, money, cause, look, step = message.splitlines()
    assert title == "batch-editor out: 3 images made for $0.03, 2 failed"
    assert re.fullmatch(r"Jobs: 3 of 5 done, 2 failed; 3 made in this run, in \d+s", counts)
    assert money == "Money: $0.03 of a budget of $5.00"
    assert re.fullmatch(r"Cause: invalid_parameter, 2 jobs, such as bad: .+", cause)
    assert look == f"Look: on {HOST}, {bench.out}/manifest.csv"
    assert step == "Next: To try failed jobs again: the same command --retry-failed"
    (sent,) = [each.json for each in hook.requests]
    assert sent == {"text": message, "content": message, "summary": title}


async def test_a_shard_is_told_of_with_its_part_of_the_budget(bench: Bench, hook: Recorder) -> None:
    configure(bench, {"to": hook.url + HOOK, "when": "always"})
    async with sandbox() as provider:
        manifest = bench.write(jobs(3), name="spring.yaml")
        for shard in ("0/2", "1/2"):
            done = await bench.command(
                *bench.run_arguments(manifest, provider, "--max-cost", "5", "--shard", shard, out=bench.out / shard[0])
            )
            assert done.code == 0
        for wrong in (("--shard", "4/4"), ("--shard", "0/4", "--only", "none")):
            assert (await bench.command("run", manifest, *wrong, "--base-url", provider.base_url)).code == 2
    *made, first, second = told(hook)
    assert any("Money: $0.03 of a budget of $2.50" in message for message in made)
    assert first.startswith("batch-editor spring, shard 4/4 could not start (exit code 2): ")
    assert second.startswith("batch-editor spring, shard 0/4 could not start (exit code 2): ")


async def test_a_run_that_stops_says_why_and_how_to_go_on(bench: Bench, hook: Recorder) -> None:
    configure(bench, {"to": hook.url + HOOK})
    (bench.folder / "spring.yaml").write_text(bench.write(jobs(9)).read_text())
    async with sandbox() as provider:
        arguments = ["run", "spring.yaml", "-o", "out", "--base-url", provider.base_url, "--rate", "9999/s"]
        for _ in range(2):
            assert (await bench.command(*arguments, "--max-cost", "0.06", "--concurrency", "1")).code == 4
        spent_usd = provider.books.billed_usd
    (title, stopped, _, money, *_, step), (again, _, _, still, *_) = (each.splitlines() for each in told(hook))
    assert re.fullmatch(r"batch-editor out: stopped \(budget\), \d images made for \$0.0\d, \d left", title)
    assert stopped.startswith("Stopped: the budget has no room for the max price of any request that is left: ")
    resume = r"Next: \d jobs are left; to resume once the budget has room: batch-editor run spring.yaml -o out .*"
    assert re.fullmatch(resume, step)
    assert money == f"Money: ${spent_usd:.2f} of a budget of $0.06"
    # The same command again has the same budget.
    assert re.fullmatch(r"batch-editor out: stopped \(budget\), \d left", again)
    assert still == f"Money: $0.00 of a budget of $0.06, ${spent_usd:.2f} of it spent by the runs before"


async def test_a_night_without_work_is_told_where_always_is_wanted(bench: Bench, hook: Recorder) -> None:
    configure(bench, {"to": [hook.url + HOOK], "when": "always"})
    async with sandbox() as provider:
        manifest = bench.write(jobs(2))
        for _ in range(2):
            assert (await bench.command(*bench.run_arguments(manifest, provider))).code == 0
    first, second = told(hook)
    assert first.splitlines()[0] == "batch-editor out: 2 images made for $0.02, all 2 jobs done"
    assert first.splitlines()[-1] == f"Next: batch-editor review {bench.out}"
    assert second.splitlines()[0] == "batch-editor out: nothing to do, all 2 jobs are done"


@pytest.mark.parametrize(("when", "messages"), [("always", [0, 1]), ("trouble", [1]), ("never", [])])
async def test_when_says_which_runs_are_told_and_every_run_is_pinged(
    bench: Bench, hook: Recorder, when: str, messages: list[int]
) -> None:
    configure(bench, {"to": [hook.url + HOOK], "when": when, "ping": hook.url + PING})
    async with sandbox(faults=("400:prompt~refuse",)) as provider:
        codes = [
            (await bench.command(*bench.run_arguments(bench.write(wanted), provider))).code
            for wanted in (jobs(1), [*jobs(1), job("bad", "refuse")])
        ]
    assert codes == [0, 1]
    assert len(told(hook)) == len(messages)
    assert pings(hook) == ["/start", "/0", "/start", "/1"]


async def faulty_config(bench: Bench, provider: Any) -> Finished:
    config = json.loads((bench.folder / "config.yaml").read_text())
    (bench.folder / "config.yaml").write_text(json.dumps({**config, "concurency": 3}))
    return await bench.command(*bench.run_arguments(bench.write(jobs(1)), provider))


async def config_that_is_no_yaml(bench: Bench, provider: Any) -> Finished:
    """People write blocks: what comes before and behind the one that says who is told may be anything."""
    notify = json.loads((bench.folder / "config.yaml").read_text())["notify"]
    lines = ["concurrency: 3", "notify:", "  # who is told", *(f"  {name}: {said}" for name, said in notify.items())]
    (bench.folder / "config.yaml").write_text("\n".join([*lines, "", "retry: [", "rate_limit: 5/s: 3", ""]))
    return await bench.command(*bench.run_arguments(bench.write(jobs(1)), provider))


async def config_with_a_key_twice(bench: Bench, provider: Any) -> Finished:
    config = json.loads((bench.folder / "config.yaml").read_text())
    (bench.folder / "config.yaml").write_text(
        f"notify: {json.dumps(config['notify'])}\nrate_limit: 1/s\nrate_limit: 2/s"
    )
    return await bench.command(*bench.run_arguments(bench.write(jobs(1)), provider))


async def no_key(bench: Bench, provider: Any) -> Finished:
    return await bench.command(*bench.run_arguments(bench.write(jobs(1)), provider), key=None)


async def another_process(bench: Bench, provider: Any) -> Finished:
    bench.out.mkdir()
    with locked(bench.out):
        return await bench.command(*bench.run_arguments(bench.write(jobs(1)), provider))


async def no_disk(bench: Bench, provider: Any) -> Finished:
    (bench.folder / "disk").touch()
    out = bench.folder / "disk" / "out"
    return await bench.command(*bench.run_arguments(bench.write(jobs(1)), provider, out=out))


async def no_manifest(bench: Bench, provider: Any) -> Finished:
    return await bench.command(*bench.run_arguments(bench.folder / "spring.csv", provider))


async def no_ledger(bench: Bench, provider: Any) -> Finished:
    return await bench.command(*bench.run_arguments(bench.write(jobs(1)), provider, "--expect-ledger"))


async def no_template(bench: Bench, provider: Any) -> Finished:
    faulty = bench.write([{**job("a"), "prompt": 5, "seed": 1, "sise": 2, "qality": 1, "mood": 4, "mode": 3}])
    return await bench.command(*bench.run_arguments(faulty, provider))


async def unknown_option(bench: Bench, provider: Any) -> Finished:
    """A rehearsal of the plan with it tells nobody."""
    arguments = bench.run_arguments(bench.write(jobs(1)), provider, "--expect-leger")
    assert (await bench.command(*arguments, "--dry-run")).code == 2
    return await bench.command(*arguments)


async def unreadable_value(bench: Bench, provider: Any) -> Finished:
    return await bench.command(*bench.run_arguments(bench.write(jobs(1)), provider, "--limit", "many"))


async def no_config(bench: Bench, provider: Any) -> Finished:
    """Where the named one isn't there, those are told whom the folder's names."""
    return await bench.command(*bench.run_arguments(bench.write(jobs(1)), provider, "-c", "mounted/shop.yaml"))


@pytest.mark.parametrize(
    ("prevented", "code", "words"),
    [
        (unknown_option, 2, "No such option '--expect-leger'"),
        (unreadable_value, 2, "Invalid value for '--limit': 'many' is not a valid integer"),
        (no_config, 2, "mounted/shop.yaml: can't be read (No such file or directory)"),
        (faulty_config, 2, "config.yaml:1: concurency is no setting (did you mean concurrency?)"),
        (config_that_is_no_yaml, 2, "config.yaml:8:16: "),
        (config_with_a_key_twice, 2, "config.yaml:3: key 'rate_limit' stands twice in one mapping"),
        (no_key, 2, "no API key: set SEGMIND_API_KEY in the environment"),
        (another_process, 5, "is at work here; wait for it, or stop it"),
        (no_disk, 6, "disk/out"),
        (no_manifest, 2, "spring.csv"),
        (no_ledger, 2, "has no ledger yet, which --expect-ledger expects"),
        (no_template, 2, "… and 1 more"),
    ],
)
async def test_a_run_that_could_not_start_is_told(
    bench: Bench, hook: Recorder, prevented: Any, code: int, words: str
) -> None:
    configure(bench, {"to": [hook.url + HOOK], "ping": hook.url + PING})
    async with sandbox() as provider:
        done = await prevented(bench, provider)
        assert provider.books.requests == 0
    assert done.code == code
    (message,) = told(hook)
    assert re.match(rf"batch-editor \w+ could not start \(exit code {code}\): ", message)
    assert words in message
    assert f"\nLook: on {HOST}, in {bench.folder}\n" in message
    assert message.splitlines()[-1].startswith("Next: when that is mended, run ")
    assert pings(hook) == ["/start", f"/{code}"]


async def test_the_end_is_pinged_after_the_beginning_is_heard(bench: Bench, hook: Recorder) -> None:
    heard: list[str] = []

    async def slowly(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1)
        heard.append("the beginning is heard")
        writer.write(DONE)

    async def at_once(writer: asyncio.StreamWriter) -> None:
        heard.append("the end is asked for")
        writer.write(DONE)

    hook.answers = {f"{PING}/start": slowly, f"{PING}/2": at_once}
    configure(bench, {"ping": hook.url + PING})
    async with sandbox() as provider:
        assert (await no_key(bench, provider)).code == 2
    assert heard == ["the beginning is heard", "the end is asked for"]


@pytest.mark.filterwarnings("ignore:'imghdr':DeprecationWarning")  # of apprise's, where Python is older than 3.13
@pytest.mark.parametrize(
    "address", ["https://hooks.example.com/services/T1/guarded-1", "json://user:guarded-2@example.com/x"]
)
def test_an_address_is_removed_from_every_text(address: str) -> None:
    found = addresses_of(NotifySettings(to=(address,)))
    assert (found.webhooks + found.others, found.faults) == ((address,), ())
    assert "guarded" not in repr(found)
    part = address.partition("//")[2].removeprefix("hooks.example.com")
    for text in (address, part):
        assert "guarded" not in redact(f"can't reach {text}: no route")


async def test_a_signal_is_told_of(bench: Bench, hook: Recorder) -> None:
    configure(bench, {"to": [hook.url + HOOK], "ping": hook.url + PING})
    async with sandbox(latency="0.3") as provider:
        manifest = bench.write(jobs(20))
        arguments = bench.run_arguments(manifest, provider, "--concurrency", "2")
        async with bench.started(*arguments) as process:
            await arrived(provider.books, 2)
            process.send(signal.SIGTERM)
            assert (await process.finished()).code == 143
    (message,) = told(hook)
    assert "batch-editor out: stopped (signal), " in message
    assert " left" in message
    assert pings(hook) == ["/start", "/143"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (http(b"no such hook", status="404 Not Found"), "http://127.0.0.1 answered HTTP 404"),
        (http(b"", status="302 Found", more="Location: http://127.0.0.1/elsewhere\r\n"), "answered HTTP 302"),
        (b"", "http://127.0.0.1 the server closed it"),
        (b"nonsense\r\n\r\n", "http://127.0.0.1 "),
    ],
)
async def test_what_a_webhook_answers_changes_no_exit_code_and_shows_no_address(
    bench: Bench, hook: Recorder, answer: bytes, words: str
) -> None:
    hook.answer = answer
    configure(bench, {"to": [hook.url + HOOK], "when": "always"})
    async with sandbox() as provider:
        manifest = bench.write(jobs(1))
        done = await bench.command(*bench.run_arguments(manifest, provider, "--log-file", "run.jsonl", "-v"))
    assert done.code == 0
    assert "warning: notify: " in done.err
    assert words in done.err
    log = (bench.folder / "run.jsonl").read_text(encoding="utf-8")
    assert '"event":"not told"' in log
    for secret in (HOOK, "aSecretOfTheShop"):
        assert secret not in done.err + done.out + log


@pytest.mark.slow
async def test_a_webhook_that_never_answers_holds_a_run_up_for_ten_seconds(bench: Bench, hook: Recorder) -> None:
    async def silence(_: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    hook.answer = silence
    configure(bench, {"to": [hook.url + HOOK], "when": "always", "ping": hook.url + PING})
    async with sandbox() as provider:
        began_at = asyncio.get_running_loop().time()
        done = await bench.command(*bench.run_arguments(bench.write(jobs(1)), provider))
        took_s = asyncio.get_running_loop().time() - began_at
    assert (done.code, took_s < 16) == (0, True)
    assert "warning: notify: http://127.0.0.1 " in done.err


async def test_https_is_checked_against_who_is_trusted(bench: Bench) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(CERTIFICATE)
    async with posted_over(tls) as (url, heard), sandbox() as provider:
        configure(bench, {"to": [url + HOOK], "when": "always"})
        arguments = bench.run_arguments(bench.write(jobs(1)), provider)
        unknown = await bench.command(*arguments)
        assert (unknown.code, heard) == (0, [])
        assert "certificate" in unknown.err
        known = await bench.command(*arguments, environment={"SSL_CERT_FILE": str(CERTIFICATE)})
    assert (known.code, known.err, len(heard)) == (0, "", 1)
    assert heard[0].startswith(f"POST {HOOK} HTTP/1.1")
    assert KEY not in heard[0]


@asynccontextmanager
async def posted_over(tls: ssl.SSLContext) -> AsyncIterator[tuple[str, list[str]]]:
    heard: list[str] = []

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(DONE)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(hear, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", heard


async def test_addresses_come_from_the_environment_too(bench: Bench, hook: Recorder) -> None:
    configure(bench, {"to": ["env:SHOP_HOOK"], "when": "always", "ping": "env:SHOP_PING"})
    environment = {"SHOP_HOOK": hook.url + HOOK, "SHOP_PING": hook.url + PING + "/"}
    async with sandbox() as provider:
        manifest = bench.write(jobs(1))
        done = await bench.command(*bench.run_arguments(manifest, provider), environment=environment)
        assert (done.code, len(told(hook)), pings(hook)) == (0, 1, ["/start", "/0"])


async def test_who_can_t_be_told_is_said_before_anything_is_sent_and_told_to_the_others(
    bench: Bench, hook: Recorder
) -> None:
    configure(bench, {"to": ["env:SHOP_HOOK", "nonsense://secret-word", hook.url + HOOK]})
    async with sandbox() as provider:
        done = await bench.command(*bench.run_arguments(bench.write(jobs(1)), provider))
        assert (done.code, provider.books.requests) == (2, 0)
    assert done.err.splitlines() == [
        "error: notify.to: env:SHOP_HOOK: there is no SHOP_HOOK in the environment",
        "error: notify.to: nonsense://… isn't an address of apprise's (https://appriseit.com/services/)",
    ]
    assert "SHOP_HOOK" in told(hook)[0]


async def test_without_the_extra_apprise_s_addresses_are_refused(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "apprise.py").write_text("raise ImportError('as where it is not installed')")
    configure(bench, {"to": ["json://127.0.0.1:9/secret-word"]})
    async with sandbox() as provider:
        arguments = bench.run_arguments(bench.write(jobs(1)), provider)
        done = await bench.command(*arguments, environment={"PYTHONPATH": str(tmp_path / "none")})
        assert (done.code, provider.books.requests) == (2, 0)
    assert done.err == (
        "error: notify.to: json://… needs apprise, which isn't installed: pip install 'batch_editor[notify]'\n"
    )


async def test_apprise_tells_the_rest(bench: Bench, hook: Recorder) -> None:
    configure(bench, {"to": [hook.url.replace("http:", "json:") + HOOK, "json://127.0.0.1:9" + HOOK], "when": "always"})
    async with sandbox() as provider:
        done = await bench.command(*bench.run_arguments(bench.write(jobs(1)), provider))
    (sent,) = [each.json for each in hook.requests]
    assert sent["title"] == "batch-editor out: 1 image made for $0.01, its only job done"
    assert sent["message"].startswith("Jobs: 1 of 1 done; 1 made in this run, in ")
    assert (done.code, done.err.splitlines()[-1]) == (0, "warning: notify: json://… didn't take it")


@asynccontextmanager
async def mail_server() -> AsyncIterator[tuple[str, list[bytes]]]:
    """The address of a mailbox, as apprise has it, and the mails that came."""
    mails: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        while line := await reader.readline():
            if line.upper().startswith(b"DATA"):
                writer.write(b"354 go on\r\n")
                mails.append(await reader.readuntil(b"\r\n.\r\n"))
            writer.write(b"221 done\r\n" if line.upper().startswith(b"QUIT") else b"250 fine\r\n")
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    async with server:
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}/?from=a@example.com&to=b@example.com&mode=insecure"
        yield f"mailto://{address}", mails


@pytest.mark.filterwarnings("ignore:'imghdr':DeprecationWarning")  # of apprise's, where Python is older than 3.13
async def test_a_mail_has_the_message_s_lines_and_every_character_of_them() -> None:
    text = "Jobs: 5 of 5 done\nCause: moderation, 2 jobs, such as <mug> & *cup*: refused\nNext: batch-editor status out"
    async with mail_server() as (address, mails):
        assert await asyncio.to_thread(tell_by_apprise, address, "batch-editor <out>: 5 images & more", text)
    mail = message_from_bytes(mails[0], policy=policy.SMTP)
    assert mail["subject"] == "batch-editor <out>: 5 images & more"
    body = mail.get_body(("plain",))
    assert body is not None
    assert body.get_content().rstrip(".\r\n").replace("\r\n", "\n") == text


@pytest.mark.parametrize(
    ("notify", "message"),
    [
        (
            {"to": "http://example.com/secret-word"},
            "notify.to.0: expected https: what is told over http, others can read",
        ),
        (
            {"to": ["secret-word"]},
            "notify.to.0: expected a webhook (https://…), an address of apprise's (scheme://…), or",
        ),
        ({"to": ["env:A B"]}, "notify.to.0: expected a webhook"),
        ({"to": "https://[secret-word/x"}, "notify.to.0: expected a host, as in https://hooks.example.com/…"),
        ({"to": "https://example.com:secret-word/x"}, "notify.to.0: expected a host"),
        ({"ping": "https://example.com/secret-word?a=1"}, "notify.ping: expected an address without ? and #"),
        ({"ping": "tgram://secret-word"}, "notify.ping: expected an address of https://…, or env:NAME"),
        ({"when": "sometimes"}, "notify.when is 'sometimes'; expected 'always', 'trouble' or 'never'"),
    ],
)
async def test_a_faulty_address_is_refused_and_not_shown(bench: Bench, notify: Any, message: str) -> None:
    configure(bench, notify)
    done = await bench.command("run", bench.write(jobs(1)), "--sandbox")
    assert done.code == 2
    assert message in done.err
    assert "secret-word" not in done.err


async def test_one_job_is_told_of_as_one(bench: Bench, hook: Recorder) -> None:
    configure(bench, {"to": [hook.url + HOOK], "when": "always"})
    async with sandbox() as provider:
        for _ in range(2):
            assert (await bench.command(*bench.run_arguments(bench.write(jobs(1)), provider))).code == 0
    assert [message.splitlines()[0] for message in told(hook)] == [
        "batch-editor out: 1 image made for $0.01, its only job done",
        "batch-editor out: nothing to do, its only job is done",
    ]


def test_who_is_told_is_read_as_far_as_it_can_be(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(
        bench, {"to": [5, "https://a.example/x", "nothing"], "when": "sometimes", "ping": "https://b.example/y"}, x=1
    )
    found = load_notify_settings()
    assert (found.to, found.when, found.ping) == (("https://a.example/x",), "trouble", "https://b.example/y")
    for unreadable in ("{notify: [", "notify: [", "notify:\nto: x\n[", "my_notify: {to: x}\n["):
        (bench.folder / "config.yaml").write_text(unreadable)
        assert load_notify_settings().to == ()
    monkeypatch.setenv("BATCH_EDITOR_NOTIFY__TO", '["https://c.example/z"]')
    monkeypatch.setenv("BATCH_EDITOR_NOTIFY__WHEN", "always")
    found = load_notify_settings(bench.folder / "none.yaml")
    assert (found.to, found.when) == (("https://c.example/z",), "always")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a\nb\x1b[31m\u202e", "a b [31m"),
        ("see https://u:p@cdn.example.com/a.jpg?X-Amz-Signature=abc#x now", "see https://cdn.example.com/a.jpg now"),
        ("@everyone <!channel> <@U024> me@example.com", "@ everyone < !channel> < @U024> me@example.com"),
        (f"key {KEY}", "key [key]"),
    ],
)
def test_no_line_has_secrets_controls_or_calls(text: str, wanted: str) -> None:
    message = Message.of(text, [text])
    assert (message.title, message.lines) == (wanted, (wanted,))


def test_a_message_fits_into_an_sms_and_a_chat() -> None:
    message = Message.of("t" * 1000, [f"{number} " + "x" * 1000 for number in range(20)])
    assert len(message.title) == 150
    assert len(message.as_json()["content"]) < 2000
    assert all(len(line) == 400 for line in message.lines)
