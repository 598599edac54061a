"""What both Python clients of the matrix do; see steps.mjs."""

import json
import os
import sys
import traceback


class Answers:
    """What the clients answer to a server's question, and what they were asked."""

    def __init__(self):
        self.asked = []

    def elicit(self, schema):
        self.asked.append("elicitation/create")
        schema = schema or {}
        properties = schema.get("properties", {})
        wanted = set(schema.get("required", [])) | ({"name"} & set(properties))
        return {
            name: True if properties.get(name, {}).get("type") == "boolean" else "Ada"
            for name in wanted
        }


def has(text, expect, what):
    if expect not in text:
        raise AssertionError(f"{what}: expected {expect!r} in {text[:400]}")


def texts(items):
    return "\n".join(getattr(item, "text", "") or "" for item in items)


async def play(client, task, answers):
    """Plays the steps with what the two clients have in common."""
    prefix = task.get("prefix", "")
    for step in task["steps"]:
        name = prefix + step.get("name", "")
        match step["do"]:
            case "tools":
                names = await client.tool_names()
                for one in step["include"]:
                    if prefix + one not in names:
                        raise AssertionError(f"tools/list: {prefix + one} is missing in {names}")
            case "call":
                seen = []

                async def progress(value, total, message):
                    seen.append(value)

                answers.asked.clear()
                result = await client.call(name, step["arguments"], progress)
                if result.is_error:
                    raise AssertionError(f"{name} failed: {texts(result.content)[:400]}")
                has(texts(result.content), step["expect"], name)
                if len(seen) < step.get("progress", 0):
                    raise AssertionError(f"{name}: {len(seen)} progress notifications, {step['progress']} expected")
                if "asks" in step and step["asks"] not in answers.asked:
                    raise AssertionError(f"{name}: the client was not asked with {step['asks']}")
            case "resource":
                has(texts(await client.read(step["uri"])), step["expect"], step["uri"])
            case "prompt":
                messages = await client.prompt(name, step.get("arguments"))
                has(texts(message.content for message in messages), step["expect"], name)
            case other:
                raise AssertionError(f"no such step: {other}")


def environment(target):
    return {**os.environ, **target.get("env", {})}


def mode(task):
    return "2026-07-28" if task["mode"] == "modern" else task["mode"]


async def drive(connected):
    """Runs a driver: reads its task, prints the version it spoke, says what went wrong."""
    try:
        task = json.loads(sys.argv[1])
        answers = Answers()
        async with connected(task, answers) as client:
            await play(client, task, answers)
            version = client.version()
        print(json.dumps({"version": version}))
        return 0
    except BaseException as error:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        print("".join(traceback.format_exception_only(error)).strip(), file=sys.stderr)
        return 1
