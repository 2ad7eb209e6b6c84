"""Files of all kinds in a folder, and the same behind a server that speaks S3."""

from __future__ import annotations

import bz2
import gzip
import io
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROWS = {
    "day=2026-11-01/part-0.parquet": 300,
    "day=2026-11-01/part 1 [é].parquet": 20,
    "day=2026-11-02/part-0.csv": 400,
    "day=2026-11-02/part-1.jsonl.gz": 50,
    "day=2026-11-03/part-0.arrow": 100,
    "day=2026-11-03/part-1.arrows": 60,
    "day=2026-11-03/part-2.csv.bz2": 30,
    "day=2026-11-03/_SUCCESS": 0,
}
SECRET = "w7-secret"


def content(name: str, rows: int) -> bytes:
    """A table as a file of the kind that its name says."""
    from engines.conftest import table

    frame, buffer = table(rows, rows), io.BytesIO()
    if name.endswith(".parquet"):
        frame.write_parquet(buffer, row_group_size=100)
    elif name.endswith(".arrow"):
        frame.write_ipc(buffer)
    elif name.endswith(".arrows"):
        frame.write_ipc_stream(buffer)
    elif ".csv" in name:
        frame.write_csv(buffer)
    elif rows:
        frame.write_ndjson(buffer)
    packed: Callable[[bytes], bytes] = {".gz": gzip.compress, ".bz2": bz2.compress}.get(Path(name).suffix, bytes)
    return packed(buffer.getvalue())


def write(root: Path) -> None:
    """The files in a folder."""
    for name, rows in ROWS.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(content(name, rows))


@contextmanager
def served(root: Path) -> Iterator[Any]:
    """A client of a bucket "logs" that has the files below "clicks"; the settings of this process name its server."""
    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", "http://{}:{}".format(*server.get_host_and_port()))
        patch.setenv("AWS_ACCESS_KEY_ID", "somebody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        client = boto3.client("s3")
        client.create_bucket(Bucket="logs")
        for name in ROWS:
            client.put_object(Bucket="logs", Key=f"clicks/{name}", Body=(root / name).read_bytes())
        client.put_object(Bucket="logs", Key="clicks/", Body=b"")  # as consoles make folders
        yield client
        client.close()
    server.stop()
