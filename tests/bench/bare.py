"""The floor: one FastAPI route that takes a JSON body and answers one, and does nothing else."""

from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI(openapi_url=None)


class Asked(BaseModel):
    fields: list[str] | None = None


@app.post("/bare")
async def bare(asked: Asked) -> dict[str, object]:
    return {"purpose": "none", "fields": {name: {"level": None} for name in asked.fields or ()}}


@app.get("/readyz")
async def readyz() -> dict[str, str]:
    return {}
