"""URLs of files and databases: whose they are, what may be shown of them, and what it means that one cannot be read."""

from __future__ import annotations

import re
import urllib.parse
from pathlib import PurePosixPath

from .._errors import InvalidInputError, UnreadableError

_URL = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
WEB = ("http", "https")
VENDORS = {
    "s3": "Amazon S3",
    "s3a": "Amazon S3",
    "gs": "Google Cloud Storage",
    "az": "Azure Storage",
    "abfs": "Azure Storage",
    "abfss": "Azure Storage",
}
_CREDENTIALS = {
    "Amazon S3": "sign in, as by aws configure or aws sso login, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY "
    "(AWS_SKIP_SIGNATURE=true reads what is public)",
    "Google Cloud Storage": "sign in, by gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS",
    "Azure Storage": "set AZURE_STORAGE_ACCOUNT_NAME, and AZURE_STORAGE_ACCOUNT_KEY or another credential",
}

_SECRET = re.compile(r"((?:[a-z][a-z0-9+.-]*)://[^\s/:@]*):\S*@", re.IGNORECASE)
_ASKED = re.compile(r"((?!(?:s3a?|gs|az|abfss?)://)\b[a-z][a-z0-9+.-]*://[^\s?'\"]*)\?[^\s'\"]*", re.IGNORECASE)


def is_remote(text: str) -> bool:
    """Whether a text is a URL."""
    return _URL.match(text) is not None


def public(text: str) -> str:
    """A text without what URLs in it must not tell: passwords, and what stands behind a question mark."""
    return _ASKED.sub(r"\1?…", _SECRET.sub(r"\1:…@", text))


def key_of(url: str) -> PurePosixPath:
    """The path within the store or server."""
    return PurePosixPath(urllib.parse.urlsplit(url).path if scheme_of(url) in WEB else parted(url)[1])


def parted(url: str) -> tuple[str, str]:
    """A store with its bucket, "s3://bucket/", and the name of an object in it."""
    key = url.partition("://")[2].partition("/")[2]
    return url[: len(url) - len(key)], key


def scheme_of(url: str) -> str:
    """What stands before "://"."""
    return url.partition("://")[0].lower()


def refuse_place(path: str) -> None:
    """Raise InvalidInputError if results should be written elsewhere: they are small, and whole or not there."""
    if is_remote(path):
        raise InvalidInputError(
            f"results must be written to this machine; got {public(path)}; write a file here, and copy it there."
        )


_REASONS = {
    "no bucket": ("NoSuchBucket", "bucket does not exist", "ContainerNotFound", "FilesystemNotFound"),
    "expired": ("ExpiredToken", "RequestExpired", "TokenRefreshRequired", "has expired", "is expired"),
    "no credentials": (
        *("session.get_credentials", "169.254.169.254", "metadata.google", "token request", "must be specified"),
        "SSO Token",
    ),
    "no profile": ("config profile",),
    "region": ("PermanentRedirect", "301 Moved", "AuthorizationHeaderMalformed", "configured region"),
    "denied": (
        *("AccessDenied", "403 Forbidden", "401 Unauthorized", "HTTP Error 401", "HTTP Error 403", "InvalidToken"),
        *("InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthenticationFailed", "AuthorizationPermissionMismatch"),
    ),
    "nothing": ("NoSuchKey", "404 Not Found", "HTTP Error 404", "HTTP Error 410", "Object at location"),
    "offline": ("error sending request", "urlopen error", "timed out", "Connection refused", "Connection reset"),
}


def explained(url: str, error: BaseException) -> UnreadableError | None:
    """What a library says of a URL, as a sentence with the remedy; None if it says nothing that is known."""
    text, name, vendor = str(error), public(url), VENDORS.get(scheme_of(url), "the server")
    kind = next((kind for kind, marks in _REASONS.items() if any(mark in text for mark in marks)), None)
    signing = _CREDENTIALS.get(vendor, "give an address that may be read without")
    sentences = {
        "no bucket": f"there is no bucket or container of {name}; check its name.",
        "expired": f"the credentials for {vendor} have expired, and {name} cannot be read; renew them: {signing}.",
        "no credentials": f"{name} needs credentials, from where the tools of {vendor} look for them; "
        f"there are none; {signing}.",
        "no profile": f"{name} cannot be read: {text.strip().rstrip('.')}; name a profile that there is (AWS_PROFILE).",
        "region": f"{name} is in another region than was asked; say which by AWS_REGION.",
        "denied": f"{vendor} lets these credentials neither list nor read {name}; "
        f"ask for the right to, or use others: {signing}.",
        "nothing": f"there is nothing at {name}; check the address.",
        "offline": f"{vendor} cannot be reached for {name}; check the network and the address"
        f"{', and AWS_ENDPOINT_URL if it is set' if vendor == 'Amazon S3' else ''}.",
    }
    return None if kind is None else UnreadableError(sentences[kind])
