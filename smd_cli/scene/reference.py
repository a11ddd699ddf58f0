"""The reference of the scene language, generated from its schema: JSON Schema and Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from smd_cli.scene.prompt_syntax import SYNTAXES
from smd_cli.scene.schema import Scene

Schema = dict[str, Any]
_INTRODUCTION = """\
Generated from the schema. A scene is one YAML document (1.2, so `no` is text) of at most 1 MiB in UTF-8;
keys that are not listed here are errors. Relative paths start at the folder of the scene file, those
of `--model` at the working directory. Pictures are read upright, of animations the first frame; those with
a colour profile are converted to sRGB, and transparency counts however a file stores it: as an alpha channel,
in its palette, or as one transparent colour. `smd schema` prints the same as JSON Schema for editors,
`smd new` writes a commented scene to begin with, and `--set regions[0].prompt=…` or
`--set regions[name].prompt=…` changes any value for one run.

What a scene leaves out is what its model recommends ([models.md](models.md#what-a-model-recommends)), and
else the default that is listed here. What a model recommends of `sampler` and `bootstrap` belongs together:
it holds where the scene sets none of `sampler.kind`, `sampler.steps` and `sampler.indices`, and of these
`bootstrap.mix_steps` only where it sets neither `bootstrap.steps` nor `show_through`,
and `show_through` only where it sets no `mix_steps`.""".splitlines()

_PROMPTS = """\
## Prompts

`(snow:1.3)` weighs words, from 0 to 4; nested weights multiply. Prompts may have 4,000 characters,
however many tokens that is, and `BREAK` splits them. Brackets without a number are words, as in
`saber (fate)`, and a backslash makes an ordinary character of one that has a meaning: `\\(1:2\\)`.
[prompts.md](prompts.md) tells more. These notations of other programs are read as words, with a warning:

| in a prompt | instead |
|---|---|""".splitlines()

_WRITING = """\
## Texts that need quotes

Inside `{ }` and `[ ]` a comma ends a text, so a prompt with one needs quotes there: `{prompt: "grass, blue
sky"}`. Everywhere, a text needs them that has `: ` or ` #` in it (a `#` behind a space begins a comment),
such as `color: "#f92f6c"`, and one that begins with one of ``[ { ] } , " ' # & * ! | > % @ ` ``. Straight
quotes quote, curly ones do not.

## Shared values

Keys of the scene that begin with `x-` are ignored: a place for what several others share. `&name` names a
value, `*name` repeats it, and `<<: *name`, or `<<: [*one, *two]`, lends its keys to a mapping that does not
give them itself.

```yaml
smd: 1
x-person: &person {mask_std: 4, prompt_strength: 0.9}
canvas: {width: 384, height: 256}
background: {prompt: "grass, clear deep blue sky"}
regions:
  - {<<: *person, name: boy, prompt: "1boy", mask: {ellipse: [0.3, 0.6, 0.2, 0.4]}}
  - {<<: *person, mask_std: 0, name: girl, prompt: "1girl", mask: {ellipse: [0.7, 0.6, 0.2, 0.4]}}
```

Both have a prompt strength of 0.9; the boy's mask is blurred, the girl's is not.""".splitlines()


def json_schema() -> Schema:
    """Return the JSON Schema (draft 2020-12) of a scene."""
    described = Scene.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **described,
        "title": "A scene for smd",
    }


def scene_reference(schema: Schema) -> str:
    """Write the scene language as Markdown, a table for every mapping."""
    sections = {"Scene": schema, **schema["$defs"]}
    order = ["Scene", *(name for name in _mentioned(schema, schema["$defs"]))]
    lines = ["# Scene reference", "", *_INTRODUCTION]
    for name in dict.fromkeys(order):
        section = sections[name]
        lines += ["", f"## {name}", "", section["description"], "", "| key | value | default | meaning |"]
        lines += ["|---|---|---|---|", *_rows(section)]
    return "\n".join([*lines, "", *_PROMPTS, *_notations(), "", *_WRITING]) + "\n"


def _notations() -> Iterator[str]:
    """Yield a row for each notation of other programs."""
    for syntax in SYNTAXES:
        examples = ", ".join(f"`{example}`" for example in syntax.examples).replace("|", "\\|")
        yield f"| {examples} | {syntax.instead} |"


def _mentioned(schema: Schema, definitions: Schema) -> Iterator[str]:
    """Yield the names of the mappings in the order in which the schema mentions them."""
    for key, value in schema.items():
        if key == "$ref":
            name = value.rpartition("/")[2]
            yield name
            yield from _mentioned(definitions[name], definitions)
        elif key != "$defs":
            for below in value if isinstance(value, list) else [value]:
                if isinstance(below, dict):
                    yield from _mentioned(below, definitions)


def _rows(section: Schema) -> Iterator[str]:
    for key, value in section["properties"].items():
        default = "required" if key in section.get("required", ()) else _default(value.get("default"))
        yield f"| `{key}` | {_value(value)} | {default} | {value['description']} |"


def _default(default: Any) -> str:  # noqa: ANN401 - any JSON value
    if default is None:
        return ""
    return "see there" if isinstance(default, dict) else f"`{json.dumps(default, ensure_ascii=False)}`"


def _value(schema: Schema) -> str:
    """Describe the values that a key takes."""
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        return " or ".join(
            dict.fromkeys(_value(choice) for choice in choices if choice.get("type") != "null")
        )
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if words := schema.get("enum") or [word for word in [schema.get("const")] if word is not None]:
        return ", ".join(f"`{word}`" for word in words)
    if schema["type"] == "array":
        return _list(schema)
    kind = {"integer": "whole number", "string": "text", "boolean": "`true`, `false`", "object": "mapping"}
    return " ".join(
        filter(None, [kind.get(schema["type"], schema["type"]), _range(schema), _multiple(schema)])
    )


def _list(schema: Schema) -> str:
    least, most = schema.get("minItems"), schema.get("maxItems")
    count = f" {least}:" if least and least == most else f" {least} or more:" if least else ""
    return f"list of{count} {_value(schema['items'])}"


def _range(schema: Schema) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if "exclusiveMinimum" in schema:
        return f"above {schema['exclusiveMinimum']}, at most {most}"
    if "exclusiveMaximum" in schema:
        return f"{least} or more, below {schema['exclusiveMaximum']}"
    return "" if least is None else f"{least} to {most}"


def _multiple(schema: Schema) -> str:
    return f"(a multiple of {schema['multipleOf']})" if "multipleOf" in schema else ""
