"""HTTP for every service: declared routes, strict reading, problem+json, health and documentation.

A service needs `create_http_app`, `Routes` and the bases of its models; the rest works by itself.
"""

from shared.http.app import HttpApp, create_http_app
from shared.http.auth import bearer_token
from shared.http.callers import (
    CREDENTIAL,
    PUBLIC,
    SIGNED_IN,
    TOKEN,
    Access,
    Account,
    Accounts,
    Caller,
    Gate,
    Question,
    roles,
)
from shared.http.models import (
    AnswerModel,
    BodyModel,
    HeadersModel,
    IdempotencyHeaders,
    IdempotencyKey,
    Language,
    PathNumber,
    QueryModel,
)
from shared.http.routes import ETAG, LOCATION, Answer, Routes, json_answer

__all__ = [
    "CREDENTIAL",
    "ETAG",
    "LOCATION",
    "PUBLIC",
    "SIGNED_IN",
    "TOKEN",
    "Access",
    "Account",
    "Accounts",
    "Answer",
    "AnswerModel",
    "BodyModel",
    "Caller",
    "Gate",
    "HeadersModel",
    "HttpApp",
    "IdempotencyHeaders",
    "IdempotencyKey",
    "Language",
    "PathNumber",
    "QueryModel",
    "Question",
    "Routes",
    "bearer_token",
    "create_http_app",
    "json_answer",
    "roles",
]
