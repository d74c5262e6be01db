"""The catalogue and the purposes, as a brand's developers need them. No personal data, so no token."""

from typing import Any

from fastapi import APIRouter, Request

from api.routes.answers import Json
from api.services import keyless
from policies.catalogue import Category, Field
from policies.purposes import Purpose

router = APIRouter(prefix="/v1/catalogue", tags=["catalogue"])


@router.get("")
async def catalogue(request: Request) -> Json:
    """Return categories with their fields, levels and predicates, and the purposes with their bases and notices."""
    bundle = keyless(request).vault.bundle
    return Json(
        {
            "bundle": bundle.name,
            "hash": bundle.hash.hex(),
            "categories": [_category(each) for each in bundle.catalogue.categories],
            "purposes": [_purpose(each) for each in bundle.purposes.every],
        }
    )


def _category(category: Category) -> dict[str, Any]:
    return {
        "name": category.name,
        "title": dict(category.title),
        "sensitivity": category.sensitivity,
        "retention_days": category.retention_days,
        "fields": [_field(each) for each in category.fields],
    }


def _field(field: Field) -> dict[str, Any]:
    return {
        "name": field.name,
        "title": dict(field.title),
        "kind": field.kind,
        "type": field.type,
        "special": field.special,
        "searchable": field.search is not None,
        "levels": sorted(field.levels, key=lambda level: level.rank),
        "predicates": sorted(field.predicates),
        "choices": list(field.choices),
    }


def _purpose(purpose: Purpose) -> dict[str, Any]:
    return {
        "key": purpose.key,
        "parent": purpose.parent,
        "title": dict(purpose.title),
        "basis": dict(purpose.basis),
        "separate_consent": purpose.separate_consent,
        "notice": purpose.notice,
        "max_level": dict(purpose.max_level),
    }
