"""Asks a model that `lostwax serve` serves, with the client of OpenAI: python3 client.py QUESTION"""

import sys

from openai import OpenAI

client = OpenAI(base_url="http://127.0.0.1:8080/v1", api_key="secret")
stream = client.chat.completions.create(
    model=client.models.list().data[0].id,
    messages=[{"role": "user", "content": " ".join(sys.argv[1:])}],
    stream=True,
)
for chunk in stream:
    for choice in chunk.choices:
        print(choice.delta.content or "", end="", flush=True)
print()
