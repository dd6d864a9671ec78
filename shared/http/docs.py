"""`/openapi.json` and `/docs`: the document for programs, and a page for people made from it.

The page is plain HTML from this process: no script, nothing from another address, a policy that forbids both.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Iterable
from html import escape
from typing import Any

import orjson
from flask import Response

from shared.http.routes import Answer, Routes, json_answer

Json = dict[str, Any]

STYLE = """
:root{color-scheme:light dark;--line:#8885;--soft:#8881;--accent:#0a6}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem}
h1,h2,h3{line-height:1.2}h2{border-bottom:1px solid var(--line);padding-bottom:.3rem;margin-top:2.5rem}
section.operation{border:1px solid var(--line);border-radius:.5rem;padding:.2rem 1rem 1rem;margin:1rem 0}
.method{background:var(--accent);color:#fff;border-radius:.3rem;padding:.1rem .5rem;font-size:.85rem}
code,pre{font-family:ui-monospace,monospace;font-size:.9em}code{overflow-wrap:anywhere}
pre{background:var(--soft);padding:.7rem;border-radius:.4rem;overflow-x:auto}
table{border-collapse:collapse;width:100%}td,th{
border-bottom:1px solid var(--line);padding:.3rem .5rem;text-align:left;vertical-align:top}
summary{cursor:pointer}:target{outline:2px solid var(--accent)}
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_METHODS = ("get", "post", "put", "patch", "delete")


def documentation_routes(document: Callable[[], Json], page: Callable[[], str]) -> Routes:
    """The routes that describe the others."""
    routes = Routes("documentation", "What this service offers.")

    @routes.get("/openapi.json", answer=Answer("The OpenAPI 3.1 document"), limit="none")
    def openapi_document() -> Response:
        """This service as an OpenAPI 3.1 document."""
        return json_answer(orjson.dumps(document()))

    @routes.get("/docs", answer=Answer("A page of HTML", media_type="text/html"), limit="none")
    def documentation_page() -> Response:
        """This service as a page for people."""
        headers = [("Content-Security-Policy", POLICY)]
        return Response(page(), 200, headers, content_type="text/html; charset=utf-8")

    return routes


def page(document: Json) -> str:
    """The whole page."""
    info = document["info"]
    title = escape(info["title"])
    return "".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            f"<title>{title}</title><style>{STYLE}</style></head><body>",
            f"<header><h1>{title} <small>{escape(info['version'])}</small></h1>",
            f"<p>{escape(info['description'])}</p><p>",
            '<a href="/openapi.json">OpenAPI 3.1 document</a></p></header><main>',
            *_contents(document),
            *(part for tag in document["tags"] for part in _tag(tag, document)),
            *_codes(document),
            *_schemas(document),
            "</main></body></html>",
        ]
    )


def _operations(document: Json) -> Iterable[tuple[str, str, Json]]:
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method in methods:
                yield path, method, methods[method]


def _contents(document: Json) -> Iterable[str]:
    yield "<nav aria-label='Operations'><ul>"
    for path, method, operation in _operations(document):
        target, summary = escape(operation["operationId"]), escape(operation["summary"])
        yield f'<li><a href="#{target}"><code>{method.upper()} {escape(path)}</code></a> {summary}</li>'
    yield "</ul></nav>"


def _tag(tag: Json, document: Json) -> Iterable[str]:
    yield f"<h2>{escape(tag['name'].capitalize())}</h2><p>{escape(tag['description'])}</p>"
    for path, method, operation in _operations(document):
        if tag["name"] in operation["tags"]:
            yield from _operation(path, method, operation)


def _operation(path: str, method: str, operation: Json) -> Iterable[str]:
    yield f'<section class="operation" id="{escape(operation["operationId"])}">'
    yield f'<h3><span class="method">{method.upper()}</span> <code>{escape(path)}</code></h3>'
    yield f"<p><strong>{escape(operation['summary'])}</strong></p>"
    yield "".join(f"<p>{escape(text)}</p>" for text in operation.get("description", "").split("\n\n") if text)
    if operation.get("security"):
        schemes = ", ".join(" ".join(option) or "none" for option in operation["security"])
        yield f"<p>Credentials: {escape(schemes)}</p>"
    yield from _parameters(operation.get("parameters", []))
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"<h4>Body</h4><p><code>{escape(media_type)}</code> {_schema(content['schema'])}</p>"
    yield "<h4>Answers</h4><table><tr><th scope='col'>Status</th><th scope='col'>Meaning</th></tr>"
    for status, response in operation["responses"].items():
        yield f"<tr><td>{escape(status)}</td><td>{_response(response)}</td></tr>"
    yield "</table></section>"


def _parameters(parameters: list[Json]) -> Iterable[str]:
    if not parameters:
        return
    yield "<h4>Parameters</h4><table><tr><th scope='col'>Name</th><th scope='col'>In</th>"
    yield "<th scope='col'>Form</th><th scope='col'>Meaning</th></tr>"
    for parameter in parameters:
        needed = " (required)" if parameter["required"] else ""
        yield f"<tr><td><code>{escape(parameter['name'])}</code>{needed}</td><td>{escape(parameter['in'])}</td>"
        yield f"<td>{_schema(parameter['schema'])}</td><td>{escape(parameter.get('description', ''))}</td></tr>"
    yield "</table>"


def _response(response: Json) -> str:
    parts = [_code_spans(response["description"])]
    contents = response.get("content", {}).values()
    parts += [_schema(content["schema"]) for content in contents if "examples" not in content]
    if "headers" in response:
        parts.append(f"Headers: {escape(', '.join(response['headers']))}")
    return "<br>".join(parts)


def _code_spans(text: str) -> str:
    """Escaped text whose `codes` link to their explanation."""
    pieces = escape(text).split("`")
    return "".join(
        f'<a href="#{piece}"><code>{piece}</code></a>' if index % 2 else piece for index, piece in enumerate(pieces)
    )


def _schema(schema: Json) -> str:
    """A schema in a few words: a link to a named one, or its keywords."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rsplit("/", 1)[1])
        return f'<a href="#schema-{name}">{name}</a>'
    shown = {key: value for key, value in schema.items() if key not in ("title", "description")}
    return f"<code>{escape(json.dumps(shown, ensure_ascii=False))}</code>"


def _codes(document: Json) -> Iterable[str]:
    """Each error code: the target of a problem's `type`."""
    responses = list(document["components"]["responses"].values())
    for _, _, operation in _operations(document):
        responses += operation["responses"].values()
    examples: dict[str, Json] = {}
    for response in responses:
        for content in response.get("content", {}).values():
            examples |= content.get("examples", {})
    yield "<h2>Errors</h2><p>Every failure is a problem document (RFC 9457); its <code>type</code> leads here.</p>"
    for code, example in sorted(examples.items()):
        value = json.dumps(example["value"], indent=2, ensure_ascii=False)
        yield f'<section id="{escape(code)}"><h3><code>{escape(code)}</code> ({example["value"]["status"]})</h3>'
        yield f"<p>{escape(example['summary'])}.</p>{_details('Example', value)}</section>"


def _schemas(document: Json) -> Iterable[str]:
    yield "<h2>Models</h2>"
    for name, schema in document["components"]["schemas"].items():
        text = json.dumps(schema, indent=2, ensure_ascii=False)
        yield f'<section id="schema-{escape(name)}"><h3>{escape(name)}</h3>'
        yield f"<p>{escape(schema.get('description', ''))}</p>{_details('JSON Schema', text)}</section>"


def _details(summary: str, text: str) -> str:
    return f"<details><summary>{summary}</summary><pre>{escape(text)}</pre></details>"
