"""Why a picture did not arrive: names for what img2dataset and its libraries say, and which of them are worth another try."""

import re

SUCCESS = "success"
TOMBSTONED = "tombstoned"  # never asked for
REPEATED = "repeated uid"  # not asked for again
NO_ANSWER = "no answer"  # img2dataset stalled or ended before it, or lost the row

_BY_TEXT = (  # the first that is found in the message
    ("timeout", r"timed? ?out"),
    ("opted out", r"X-Robots-Tag"),
    ("too large", r"^too large|area too large"),
    ("too small", r"too small"),
    ("aspect ratio", r"aspect ratio too large"),
    ("hash mismatch", r"hash mismatch"),
    ("dns", r"Name or service not known|name resolution|No address associated|nodename nor servname|getaddrinfo"),
    ("tls", r"SSL|CERTIFICATE|TLS"),
    ("bad url", r"unknown url type|no host given|nonnumeric port|control characters|can't encode|Invalid IPv6|label (?:empty|too long)"),
    ("cut off", r"IncompleteRead|closed connection without response|Remote end closed"),
    ("connection", r"Connection|unreachable|No route|refused|reset by peer|Broken pipe|\[Errno"),
)
_AGAIN = {"timeout", "dns", "cut off", "connection", "http 408", "http 425", "http 429", NO_ANSWER, "other"}
UNANSWERED = frozenset({"timeout", "dns", "connection"})  # what a machine without network sees of every url


def name(status: str | None, message: str | None) -> str:
    """The reason for one sample, from img2dataset's status and error message."""
    if status == SUCCESS:
        return SUCCESS
    text = message or ""
    if found := re.search(r"HTTP Error (\d{3})", text):
        return f"http {found[1]}"
    if status == NO_ANSWER:
        return NO_ANSWER
    for reason, pattern in _BY_TEXT:
        if re.search(pattern, text):
            return reason
    return "no image" if status == "failed_to_resize" else "other"


def again(reason: str) -> bool:
    """Whether another try may bring the picture: time-outs and a server's own trouble, not what is gone."""
    return reason in _AGAIN or reason.startswith("http 5")
