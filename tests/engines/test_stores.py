"""Predictions in an object store and behind web addresses: the digits of local files, one sentence for what fails."""

from __future__ import annotations

import http.server
import json
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import logloss as ll
from engines.stores import ROWS, SECRET, content
from logloss.cli import main
from logloss.engines.parts import Worker
from logloss.sources import urls

pytestmark = pytest.mark.engines

COLUMNS: dict[str, Any] = {"target": "y", "logit": "z", "group": "day,country"}
ARGUMENTS = ["--target", "y", "--logit", "z"]
ONE = "s3://logs/clicks/day=2026-11-01/part-0.parquet"


def same(found: ll.Scores, expected: ll.Scores) -> bool:
    return repr(found.to_rows()) == repr(expected.to_rows()) and found.summary.rows > 0


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a command ends with."""
    assert main(["score", *arguments, *ARGUMENTS]) == 2
    out, error = capsys.readouterr()
    assert (out, error.count("\n"), error[:9]) == ("", 1, "logloss: ")
    return error[9:-1]


def test_a_directory_and_a_pattern(folder: Path, store: Any) -> None:
    """All formats, partitions, and names that no pattern may take apart."""
    found = ll.score("s3://logs/clicks", **COLUMNS)
    assert same(found, ll.score(folder, **COLUMNS))
    assert found.summary.sources[0] == "s3://logs/clicks/day=2026-11-01/part 1 [é].parquet"
    assert len(found.summary.sources) == 7
    found = ll.score("s3://logs/clicks/day=*/part-0.*", **COLUMNS)
    assert same(found, ll.score(f"{folder}/day=*/part-0.*", **COLUMNS))
    assert same(ll.score("s3://logs/**/day=*-0[12]", **COLUMNS), ll.score(f"{folder}/day=*-0[12]", **COLUMNS))


@pytest.mark.parametrize("name", [name for name, rows in ROWS.items() if rows])
def test_each_kind(name: str, folder: Path, store: Any) -> None:
    columns = {**COLUMNS, "weight": "w", "where": "age > 20", "diagnostics": True}
    found, expected = ll.score(f"s3://logs/clicks/{name}", **columns), ll.score(folder / name, **columns)
    assert same(found, expected)
    assert found.summary.dropped == expected.summary.dropped


def test_the_store_of_google(folder: Path, store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its XML requests are those of S3: the same server lists and reads in ranges what anybody may read."""
    for name in ROWS:
        store.put_object_acl(Bucket="logs", Key=f"clicks/{name}", ACL="public-read")
    account = {"gcs_base_url": store.meta.endpoint_url, "disable_oauth": True}
    account |= dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
    (tmp_path / "account.json").write_text(json.dumps(account))
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(tmp_path / "account.json"))
    assert same(ll.score("gs://logs/clicks", **COLUMNS), ll.score(folder, **COLUMNS))
    found = ll.score("gs://logs/clicks/day=*/part-0.*", **COLUMNS)
    assert same(found, ll.score(f"{folder}/day=*/part-0.*", **COLUMNS))
    with pytest.raises(ll.InvalidInputError, match=r"no bucket or container of gs://none/x\.csv; check its name"):
        ll.score("gs://none/x.csv", **COLUMNS)


def test_labels_lists_reports_and_comparisons(folder: Path, store: Any, tmp_path: Path) -> None:
    frame = pl.read_parquet(folder / "day=2026-11-01/part-0.parquet").with_row_index("id")
    (listed := tmp_path / "list.txt").write_text("s3://logs/joined/predictions.csv\n")
    for name, columns in {"labels": ["id", "y"], "predictions": ["id", "z", "w"]}.items():
        store.put_object(Bucket="logs", Key=f"joined/{name}.csv", Body=frame[columns].write_csv().encode())
    found = ll.score(f"@{listed}", labels="s3://logs/joined/labels.csv", key="id", target="y", logit="z")
    assert found.summary.joined == {"matched": 300, "only_in_predictions": 0, "only_in_labels": 0}
    expected = ll.score(frame, target="y", logit="z")
    assert found.summary.results[0].statistics.log_loss == expected.summary.results[0].statistics.log_loss
    ll.report(ONE, tmp_path / "report.html", target="y", logit="z")
    assert ONE in (tmp_path / "report.html").read_text()
    models: dict[str, Any] = {"target": "y", "logit": {"old": "z", "new": "w"}}
    local = folder / ONE.removeprefix("s3://logs/clicks/")
    assert ll.compare(ONE, **models).to_json().replace(ONE, str(local)) == ll.compare(local, **models).to_json()


def test_a_run_is_taken_up_and_a_changed_object_is_done_again(
    store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    monkeypatch.setattr(
        Worker, "_answer", lambda self, part, plain=Worker._answer: done.append(part.number) or plain(self, part)
    )
    for name in ("a.parquet", "b.csv"):
        store.put_object(Bucket="logs", Key=f"again/{name}", Body=content(name, 40))
    columns = {"target": "y", "logit": "z", "resume": tmp_path}
    first = ll.score("s3://logs/again", **columns)
    assert same(ll.score("s3://logs/again", **columns), first)
    assert len(done) == 2
    other = content("b.csv", 40).replace(b"de", b"fr")  # of the same size
    store.put_object(Bucket="logs", Key="again/b.csv", Body=other)
    assert len(other) == len(content("b.csv", 40))
    assert ll.score("s3://logs/again", **columns).summary.rows == 80
    assert len(done) == 3


def test_credentials_of_a_profile(store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where AWS's own tools find them; a key that the server does not know is refused, and never shown."""
    iam = {"service_name": "iam", "region_name": "us-east-1"}
    with asking_who(store, iam) as keys:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        (tmp_path / "credentials").write_text(
            "".join(
                f"[{name}]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
                for name, (key, secret) in {**keys, "stranger": ("AKIAEXAMPLE", SECRET)}.items()
            )
        )
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
        monkeypatch.setenv("AWS_PROFILE", "reader")
        assert ll.score(ONE, target="y", logit="z").summary.rows == 300
        for profile in ("nobody", "stranger"):
            monkeypatch.setenv("AWS_PROFILE", profile)
            for url in (ONE, "s3://logs/clicks/", "s3://logs/clicks/*.parquet"):
                with pytest.raises(
                    ll.InvalidInputError, match=r"lets these credentials neither list nor read s3://logs/c"
                ):
                    ll.score(url, target="y", logit="z")
        monkeypatch.setenv("AWS_PROFILE", "absent")
        with pytest.raises(ll.InvalidInputError, match=r"absent\) could not be found; name a profile that there is"):
            ll.score(ONE, target="y", logit="z")


@contextmanager
def asking_who(store: Any, iam: dict[str, str]) -> Iterator[dict[str, tuple[str, str]]]:
    """A server that looks at who asks: somebody who may read, and somebody who may do nothing."""
    import boto3

    client, keys = boto3.client(**iam), {}
    for name in ("reader", "nobody"):
        client.create_user(UserName=name)
        key = client.create_access_key(UserName=name)["AccessKey"]
        keys[name] = key["AccessKeyId"], key["SecretAccessKey"]
    allowed = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    client.put_user_policy(UserName="reader", PolicyName="read", PolicyDocument=policy)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("moto.settings.INITIAL_NO_AUTH_ACTION_COUNT", 0.0)
        yield keys
    client.close()


class Refusing(http.server.BaseHTTPRequestHandler):
    """A server that answers whatever is asked with the same."""

    status, body = 500, b""

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(self.body)

    do_HEAD = do_GET  # noqa: N815 - the name that the library calls

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(handler: Any) -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (
            400,
            "ExpiredToken",
            "the credentials for Amazon S3 have expired, and s3://logs/x/*.csv cannot be read; re",
        ),
        (403, "AccessDenied", "Amazon S3 lets these credentials neither list nor read s3://logs/x/*.csv; ask for"),
        (301, "PermanentRedirect", "s3://logs/x/*.csv is in another region than was asked; say which by AWS_REGION."),
        (404, "NoSuchBucket", "there is no bucket or container of s3://logs/x/*.csv; check its name."),
        (400, "Strange", "s3://logs/x/*.csv cannot be read (Generic S3 error"),
    ],
)
def test_what_a_store_answers(
    status: int,
    code: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    store: Any,
) -> None:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    with serving(type("Handler", (Refusing,), {"status": status, "body": body})) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        assert refused(capsys, "s3://logs/x/*.csv").startswith(message)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "s3://no-such-bucket/x.parquet",
            "there is no bucket or container of s3://no-such-bucket/x.parquet; che",
        ),
        (
            "s3://logs/clicks/no.parquet",
            "there is no object s3://logs/clicks/no.parquet, and none that it means; ",
        ),
        ("s3://logs/clicks/no*.csv", "there is no object s3://logs/clicks/no*.csv, and none that it means; check the"),
        ("s3://logs/empty/", "directory s3://logs/empty/ must hold files that end in .parquet, "),
        ("s3:///x.parquet", "a URL must name a bucket, as in s3://bucket/file.parquet; got s3:///x.parquet."),
        (
            "ftp://me:secret@host/x.csv",
            "a URL must begin with https://, s3://, s3a://, gs://, az://, abfs://, ab",
        ),
        ("s3://logs/damaged.parquet", "s3://logs/damaged.parquet cannot be read as Parquet ("),
        ("s3://logs/damaged.csv", "column 'z' must hold numbers; it is 'x' in row 1 of s3://logs/damaged.csv"),
    ],
)
def test_what_is_not_there(url: str, message: str, store: Any, capsys: pytest.CaptureFixture[str]) -> None:
    if "damaged" in url:
        body = b"PAR1 and so on" if url.endswith("parquet") else b"y,z\n1,x\n"
        store.put_object(Bucket="logs", Key=url.rpartition("/")[2], Body=body)
    found = refused(capsys, url)
    assert found.startswith(message)
    assert "secret" not in found


def test_no_network_no_credentials_no_library(
    store: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    assert refused(capsys, ONE).startswith(
        f"Amazon S3 cannot be reached for {ONE}; check the network and the address, and"
    )
    assert refused(capsys, f"http://127.0.0.1:{port}/x.csv").startswith("the server cannot be reached for http://127")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    assert refused(capsys, ONE).startswith(
        f"{ONE} needs credentials, from where the tools of Amazon S3 look for them; "
    )
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    assert "set AZURE_STORAGE_ACCOUNT_NAME" in refused(capsys, "az://container/x.parquet")
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.setenv("AWS_PROFILE", "another")
    assert refused(capsys, ONE).startswith("to read s3:// URLs, install what does: pip install 'logloss[stores]' (")


@pytest.mark.parametrize("option", ["--output", "--save-state", "--resume"])
def test_results_stay_here(option: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = refused(capsys, str(folder / "day=2026-11-01"), option, "s3://logs/result.json")
    assert found.startswith("results must be written to this machine; got s3://logs/result.json; ")


class Listing(http.server.SimpleHTTPRequestHandler):
    """The files of a folder, whatever is asked of them; "cut" ends early."""

    def do_GET(self) -> None:
        if self.path.startswith("/cut"):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"y,z\n1,2\n")
            return
        super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


def test_web_addresses(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All formats, and addresses that are signed: what they are signed with is shown nowhere."""
    with serving(partial(Listing, directory=str(folder))) as address:
        urls = [f"{address}/{name.replace(' ', '%20').replace('é', '%C3%A9')}?signature={SECRET}" for name in ROWS][:-1]
        report, state = tmp_path / "report.html", tmp_path / "state.json"
        assert same(ll.score(urls, **COLUMNS), ll.score(folder, **COLUMNS))
        assert same(ll.score(urls[:6], resume=tmp_path, **COLUMNS), ll.score(urls[:6], **COLUMNS))
        assert main(["report", urls[0], *ARGUMENTS, "-o", str(report), "--save-state", str(state)]) == 0
        assert main(["score", urls[0], *ARGUMENTS, "--json"]) == 0
        said = report.read_text() + state.read_text() + "".join(capsys.readouterr())
        assert f"{address}/day=2026-11-01/part-0.parquet?…" in said
        assert SECRET not in said
        said = refused(capsys, f"{address}/none.csv?signature={SECRET}")
        assert said == f"there is nothing at {address}/none.csv?…; check the address."
        assert "(the connection ended after 8 of 1,000 bytes)" in refused(capsys, f"{address}/cut.csv")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:p@ss/word@host/db?sslmode=off", "postgresql://me:…@host/db?…"),
        ("logloss score 'https://host/a.csv?sig=x' --key a", "logloss score 'https://host/a.csv?…' --key a"),
        ("s3://bucket/part-?.csv abfss://box@host/x", "s3://bucket/part-?.csv abfss://box@host/x"),
    ],
)
def test_what_is_shown_of_a_url(text: str, shown: str) -> None:
    assert urls.public(text) == shown
