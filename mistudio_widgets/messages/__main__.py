"""``python -m mistudio_widgets.messages`` prints the schema."""

import json

from .schema import schema

print(json.dumps(schema(), indent=2, sort_keys=True))  # noqa: T201 -- its one purpose
