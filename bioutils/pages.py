"""Pages from the package's templates, escaped by what they are."""

import json
from typing import Any


def render(template: str, /, **values: Any) -> str:
    """A template of ``bioutils/templates`` filled in; HTML is escaped, Markdown is not. A missing value is an error.

    Raises jinja2's errors, which are defects of ours. For data inside <script> see ``script_json``.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    html = ".html" in template  # jinja's own rule goes by the last ending, which is .j2
    environment = Environment(
        loader=PackageLoader("bioutils"),
        autoescape=html,
        undefined=StrictUndefined,
        trim_blocks=html,  # in Markdown a line break means something
        lstrip_blocks=html,
        keep_trailing_newline=not html,
    )
    return environment.get_template(template).render(**values)


def script_json(data: Any) -> str:
    """JSON that may stand inside a <script> element: no text of it can end the element.

    >>> script_json({"a": "</script>"})
    '{"a":"\\\\u003c/script>"}'
    """
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
