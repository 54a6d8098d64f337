# SPDX-License-Identifier: Apache-2.0
"""Errors: one root, one class per family of statuses, and transport failures that keep their type.

Enters: error objects of the wire, exceptions of sockets and of httpx.
Leaves: `BeavaError` and its subclasses; each carries `code`, `path` and `hint`.
Invariants: every refusal by a server is a `RegistrationError` (the published name); a transport
failure is also the exception that the published client raised in its place.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

VALIDATION_ERROR_KINDS = frozenset(
    {
        "cycle",
        "missing_upstream",
        "schema_mismatch",
        "bad_return_type",
        "unknown_field_type",
        "table_key_invalid",
        "registration_conflict",
        "duplicate_name",
    }
)


@dataclass(frozen=True)
class ValidationError:
    """One finding about a declaration; a record, not an exception."""

    kind: str
    path: str
    message: str

    def __str__(self) -> str:
        return f"[{self.kind}] {self.path}: {self.message}"


_Error = TypeVar("_Error", bound=BaseException)


def with_note(error: _Error, *notes: str) -> _Error:
    """The error with lines below its text in a traceback (from Python 3.11 on); `str()` stays."""
    kept = [note for note in notes if note]
    if kept:
        error.__notes__ = [*getattr(error, "__notes__", ()), *kept]  # type: ignore[attr-defined,unused-ignore]
    return error


class BeavaError(Exception):
    """Root of everything beava raises for a reason a caller can act on.

    Attributes:
        code: The wire's string for what happened, or "" where there is none.
        path: What is wrong: "nodes[0].ops[1].expr", "data.amount", a file; "" if not known.
        hint: The likely fix, or "".
    """

    code: str = ""
    path: str = ""
    hint: str = ""


class BinaryNotFoundError(BeavaError):
    """The server executable is nowhere that `beava._embed.discover_binary` looks."""

    code = "binary_not_found"


def _lost(diff: dict[str, Any] | None) -> str:
    """What a forced registration would drop, as one line."""
    destructive = diff.get("destructive") if diff else None
    if not isinstance(destructive, list):
        return ""
    lost = []
    for change in destructive:
        if isinstance(change, Mapping):
            table, feature = _text(change.get("table")), _text(change.get("agg"))
            name = f"{table}.{feature}" if feature else table or _text(change.get("name"))
            lost.append(f"{name} ({_text(change.get('kind'))})")
    return f"would change or drop: {', '.join(lost)}" if lost else ""


class RegistrationError(BeavaError):
    """A refusal, by the server or by the client before anything was sent.

    Args:
        code: The wire's string, "invalid_event".
        path: The part of the request that is wrong, or "".
        message: One line for a person.
        errors: Every finding, where the server listed more than the first.
        hint: The likely fix, or "".
        status: HTTP status of the reply, None where there was none.
        diff: What a forced registration would change, of code "force_required".
        details: The error object as it came.
    """

    def __init__(
        self,
        *,
        code: str,
        path: str = "",
        message: str = "",
        errors: list[ValidationError] | None = None,
        hint: str = "",
        status: int | None = None,
        diff: dict[str, Any] | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(f"[{code}] {path}: {message}" if path else f"[{code}] {message}")
        self.code = code
        self.path = path
        self.message = message
        self.errors = [] if errors is None else errors
        self.hint = hint
        self._status = status
        self._diff = diff
        self._details = {} if details is None else details
        with_note(self, hint, _lost(diff), *map(str, self.errors[1:]))

    @property
    def status(self) -> int | None:
        """HTTP status of the reply; None over TCP, in process and for errors of the client."""
        return self._status

    @property
    def diff(self) -> dict[str, Any] | None:
        """What would change, where the server said so."""
        return self._diff

    @property
    def details(self) -> dict[str, Any]:
        """The error object as the server sent it; {} if it sent none."""
        return self._details

    def __reduce__(self) -> tuple[Any, ...]:
        # The default calls the class with `args`, but every parameter is keyword-only.
        arguments = {
            "code": self.code,
            "path": self.path,
            "message": self.message,
            "errors": self.errors,
            "hint": self.hint,
            "status": self._status,
            "diff": self._diff,
            "details": self._details,
        }
        return (_rebuild, (type(self), arguments))


def _rebuild(cls: type[RegistrationError], arguments: dict[str, Any]) -> RegistrationError:
    return cls(**arguments)


class InvalidEvent(RegistrationError):
    """The event does not fit its source."""


class NotFound(RegistrationError):
    """No such event, table, feature, key or route."""


class InvalidRegistration(RegistrationError):
    """The declarations are wrong; nothing was changed."""


class ForceRequired(RegistrationError):
    """The declarations would drop state; `diff` says which. Pass `force=True` to accept that."""


class ProtocolError(RegistrationError):
    """Client and server do not understand each other, or a size limit was met."""


class ServerError(RegistrationError):
    """The server could not carry the request out."""


class Unavailable(ServerError):
    """The server cannot accept the request now: its log, memory or disk is at its limit."""


_FAMILIES: dict[type[RegistrationError], tuple[str, ...]] = {
    InvalidEvent: (
        "invalid_json_body",
        "missing_event_name_in_body",
        "invalid_event",
        "control_character_in_string",
        "unknown_field_event_time_v0",
        "unknown_field_v0",
    ),
    NotFound: (
        "event_not_found",
        "unknown_table",
        "key_parse_failure",
        "key_not_found",
        "feature_not_found",
        "not_found",
    ),
    InvalidRegistration: (
        "invalid_descriptor",
        "invalid_registration",
        "feature_removed_no_joins_v0",
        "feature_removed_no_unions_v0",
        "unknown_field_tolerate_delay_v0",
        "unsupported_node_kind",
        "unbounded_op_in_lifetime_mode",
        "invalid_expression",
        "window_not_supported",
        "invalid_percentile_q",
        "invalid_top_k_k",
        "invalid_bloom_fpr",
        "schema_mismatch",
    ),
    ForceRequired: ("force_required",),
    ProtocolError: (
        "method_not_allowed",
        "unsupported_media_type",
        "frame_too_large",
        "frame_error",
        "unknown_op",
        "op_not_implemented",
        "unsupported_content_type",
        "unsupported_request_shape",
        "response_too_large",
        "http_protocol_error",
        "payload_too_large",
        "unexpected_frame",
        "unparseable_error",
    ),
    Unavailable: ("wal_unavailable", "wal_sync_timeout", "memory_limit", "snapshot_unavailable"),
    ServerError: ("internal_error", "reset_disabled_in_production"),
}
_CLASS_OF = {code: family for family, codes in _FAMILIES.items() for code in codes}


def class_of(code: str) -> type[RegistrationError]:
    """The exception class of a wire code; `RegistrationError` itself for one we do not know."""
    if code.startswith("aggregation_"):
        return InvalidRegistration
    return _CLASS_OF.get(code, RegistrationError)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _findings(value: object) -> list[ValidationError]:
    if not isinstance(value, list):
        return []
    return [
        ValidationError(
            _text(entry.get("code")),
            _text(entry.get("path")),
            _text(entry.get("reason")) or _text(entry.get("message")),
        )
        for entry in value
        if isinstance(entry, Mapping)
    ]


def refusal(
    code: str,
    message: str = "",
    *,
    path: str = "",
    hint: str = "",
    status: int | None = None,
    details: dict[str, Any] | None = None,
) -> RegistrationError:
    """The exception of a code, of the class that its family has."""
    return class_of(code)(
        code=code, path=path, message=message, hint=hint, status=status, details=details
    )


def error_of_object(
    error: object, *, status: int | None = None, fallback_code: str = "unknown", note: str = ""
) -> RegistrationError:
    """Turns the wire's error object into an exception.

    Args:
        error: The value of `body["error"]`; anything else gives `fallback_code`.
        status: HTTP status, if there was one.
        fallback_code: Code of an object without one.
        note: Message of an object without one.
    """
    details = dict(error) if isinstance(error, Mapping) else {}
    code = _text(details.get("code")) or fallback_code
    message = _text(details.get("reason")) or _text(details.get("message")) or note
    diff = details.get("diff")
    family = class_of(code)
    if code == "internal_error" and message.startswith("feature_not_found"):
        family = NotFound  # the published code says less than its text
    return family(
        code=code,
        path=_text(details.get("path")),
        message=message,
        errors=_findings(details.get("errors")),
        hint=_text(details.get("hint")),
        status=status,
        diff=dict(diff) if isinstance(diff, Mapping) else None,
        details=details,
    )


# ---- transport failures -------------------------------------------------------------------------


@functools.lru_cache(maxsize=64)
def _transport_class(cause: type[Exception], kind: type[Exception]) -> type[Exception]:
    bases: list[type[Exception]] = [] if issubclass(cause, BeavaError) else [BeavaError]
    bases.append(cause)
    if not issubclass(cause, kind):
        bases.append(kind)
    # Each is made once and kept: `type(error)` is stable, and `except` sees all of its faces.
    return type(
        cause.__name__,
        tuple(bases),
        {"__reduce__": _reduce_transport, "__module__": cause.__module__, "_cause_class": cause},
    )


def _reduce_transport(self: Any) -> tuple[Any, ...]:
    return (_rebuild_transport, (self._cause_class, self.args, self.code, self.hint))


def _rebuild_transport(
    cause: type[Exception], args: tuple[Any, ...], code: str, hint: str
) -> Exception:
    kind = TimeoutError if code == "timeout" else ConnectionError
    made = _transport_class(cause, kind)  # type: ignore[arg-type]  # classes are hashable
    error = made.__new__(made, *args)
    if isinstance(error, OSError):
        # OSError reads errno and text in __init__ once a Python class stands before it.
        OSError.__init__(error, *args)
    error.code = code  # type: ignore[attr-defined]
    error.hint = hint  # type: ignore[attr-defined]
    return error


def transport_failure(
    cause: Exception, *, is_timeout: bool, where: str = "", hint: str = ""
) -> Exception:
    """The same failure with more faces: `BeavaError`, and `TimeoutError` or `ConnectionError`.

    It stays an instance of `type(cause)`, because callers of the published client catch that.

    Args:
        cause: What the socket or httpx raised.
        is_timeout: Whether a deadline passed.
        where: Address to add to the text.
        hint: The likely fix; also added to the text.
    """
    args = cause.args
    suffix = "".join(f" ({part})" for part in (where, hint) if part)
    if suffix:
        if isinstance(cause, OSError) and len(args) >= 2:
            args = (args[0], f"{args[1]}{suffix}", *args[2:])
        else:
            args = (f"{args[0] if args else type(cause).__name__}{suffix}", *args[1:])
    code = "timeout" if is_timeout else "connection_failed"
    error = _rebuild_transport(type(cause), args, code, hint)
    for name, value in vars(cause).items():
        if name not in ("code", "hint"):
            setattr(error, name, value)
    error.__cause__ = cause
    return error
