"""BertViz' head and model view on one page that opens without a network: it carries d3, jQuery and require.js.

Vig 2019, A Multiscale Visualization of Attention in the Transformer Model, arXiv 1906.05714.
"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Literal

import numpy as np

from bioutils.attention import Attention
from bioutils.errors import BioutilsError, UsageError, expected
from bioutils.pages import render, script_json

# The order matters: require.js last, else the other two would register with it under no name, and it would complain.
LIBRARIES = (("XStatic-jQuery", "jquery.min.js"), ("XStatic-D3", "d3.js"), ("nbclassic", "require.js"))
MAX_TOKENS = {"head": 80, "model": 32}  # of a text: more lines than that are grey mist, and megabytes
MAX_LAYERS = {"head": 24, "model": 8}
NOTES = {
    "head": "Left the token that looks, right the tokens it looks at; the darker, the more. Choose a layer; a click on a "
    "colour hides or shows a head, a double click leaves that head alone; point at a token for its own lines.",
    "model": "A row a layer, a column a head. Click on one to enlarge it.",
}
CDN_SCRIPT = re.compile(r'<script src="https?://[^"]*"></script>')
COMMENT = re.compile(r"/\*\*.*?\*/", re.DOTALL)  # they name addresses, too
CDN_CONFIG = re.compile(r"require\.config\(\{.*?\}\s*\}\);", re.DOTALL)


@cache
def _library(package: str, file: str) -> str:
    """The text of a script that a package carries. The package's code is not run."""
    try:
        paths = metadata.files(package) or []
    except metadata.PackageNotFoundError:
        raise BioutilsError(f"The pages need {file} of {package}. Install it: pip install {package}.") from None
    found = next((Path(str(p.locate())) for p in paths if p.name == file), None)
    if found is None or not found.is_file():
        raise BioutilsError(f"{package} carries no {file}. Reinstall it: pip install --force-reinstall {package}.")
    # Inside a page only the end tag could end a script.
    return found.read_text(encoding="utf-8").replace("</script", "<\\/script")


def attention_page(
    attentions: Mapping[str, Attention],
    *,
    kind: Literal["head", "model"] = "head",
    layers: Sequence[int] | None = None,
    title: str = "",
) -> str:
    """The page, HTML: a view for each named attention, side by side.

    Long texts and deep models are limited (MAX_TOKENS, MAX_LAYERS; the first ones are shown) and the page says so.
    ``layers`` chooses which to show. Raises UsageError for an unknown kind or layer, BioutilsError where a package lacks.
    """
    if kind not in NOTES:
        raise UsageError(expected("kind", "a known view", kind, available=NOTES))
    if not attentions:
        raise UsageError("Expected attentions to hold one or more, found none.")
    messages, views = [], []
    for name, attention in attentions.items():
        shown, limits = _limited(attention, kind, layers)
        messages += [f"{name}: {text}" for text in (attention.message, *limits) if text]
        views.append((name, _view(shown, kind)))
    return render(
        "attention.html.j2",
        title=title or f"Attention, {kind} view",
        note=NOTES[kind],
        messages=messages,
        libraries=[_library(*place) for place in LIBRARIES],
        views=views,
    )


def _limited(attention: Attention, kind: str, layers: Sequence[int] | None) -> tuple[Attention, list[str]]:
    """The part that is drawn, and what to tell about the rest."""
    n_layers, _, n_tokens, _ = attention.weights.shape
    chosen = list(range(n_layers)) if layers is None else list(layers)
    if unknown := [layer for layer in chosen if not 0 <= layer < n_layers]:
        raise UsageError(expected("layers", f"between 0 and {n_layers - 1}", unknown))
    messages = []
    if len(chosen) > MAX_LAYERS[kind]:
        messages.append(
            f"{len(chosen)} layers are many: the first {MAX_LAYERS[kind]} are drawn; choose others by layers=."
        )
        chosen = chosen[: MAX_LAYERS[kind]]
    size = min(n_tokens, MAX_TOKENS[kind])
    if size < n_tokens:
        messages.append(f"{n_tokens} tokens are many: the first {size} are drawn; rows then sum to less than 1.")
    weights = attention.weights[chosen][:, :, :size, :size]
    return Attention(attention.tokens[:size], weights, attention.n_cut), messages


def _view(attention: Attention, kind: str) -> str:
    """BertViz' HTML without its addresses, tokens escaped."""
    import torch
    from bertviz import head_view, model_view

    # Stand-ins for the tokens: BertViz writes them into a script, where a token such as </script> would end it.
    stand_ins = [f"token-{i}-" for i in range(len(attention.tokens))]
    weights = np.round(attention.weights.astype(float), 4)
    layers = [torch.from_numpy(layer)[None] for layer in weights]  # (1, heads, tokens, tokens) each
    options = {"display_mode": "light"} if kind == "model" else {}
    draw = model_view if kind == "model" else head_view
    html = draw(layers, stand_ins, prettify_tokens=False, html_action="return", **options).data
    for pattern in (CDN_SCRIPT, CDN_CONFIG, COMMENT):
        html = pattern.sub("", html)
    for stand_in, token in zip(stand_ins, attention.tokens, strict=True):
        html = html.replace(json.dumps(stand_in), script_json(token))
    return html
