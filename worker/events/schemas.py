"""Where the schemas are that come with the product."""

from pathlib import Path


def schemas_path() -> Path:
    """The directory `schemas`: inside the package once installed, beside it in a checkout."""
    package = Path(__file__).parent.parent
    installed = package / "schemas"
    return installed if installed.is_dir() else package.parent / "schemas"


def event_schemas() -> dict[str, Path]:
    """The JSON Schema file of each event type, by the type's name."""
    return {each.stem: each for each in sorted((schemas_path() / "events").glob("*.json"))}


def asyncapi_path() -> Path:
    return schemas_path() / "events" / "asyncapi.yaml"
