"""The schemas that requests to issuers' cards APIs are held against know nothing that the issuers' own
SDKs do not: no field, and no word of a closed list."""

import json
import pathlib
import typing
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone

import lithic
import pytest
from lithic.types import card_create_params, card_update_params
from lithic.types.shared_params import ShippingAddress
from played_issuer import KEY, NUMBER, playing
from stripe.params.issuing import _card_create_params, _card_modify_params

SCHEMAS = pathlib.Path(__file__).parents[2] / "fixtures" / "card_apis"
# Ours alone: what the request must not have, or what a form is read as.
WORDS = {
    ("lithic_create", "type"),
    ("lithic_create", "state"),
    ("lithic_change", "state"),
    ("lithic_create", "spend_limit_duration"),
    ("lithic_change", "spend_limit_duration"),
    ("stripe_create", "status"),
    ("stripe_change", "status"),
    ("stripe_create", "type"),
    ("lithic_create", "shipping_method"),
}
PARAMETERS = {
    "lithic_create": card_create_params.CardCreateParams,
    "lithic_change": card_update_params.CardUpdateParams,
    "stripe_create": _card_create_params.CardCreateParams,
    "stripe_change": _card_modify_params.CardModifyParams,
}


def schema(name):
    return json.loads((SCHEMAS / f"{name}.schema.json").read_text())


def hints_of(parameters):
    """The types of a TypedDict; the options of every call name some that their own module does not."""
    known = {"StripeContext": object, "Mapping": typing.Mapping, "Union": typing.Union, "StripeClient": object}
    return typing.get_type_hints(parameters, localns=known, include_extras=True)


def words(hint):
    """Every literal inside a type, however deep."""
    if isinstance(hint, str):
        return set()
    if typing.get_origin(hint) is typing.Literal:
        return set(typing.get_args(hint))
    return set().union(*(words(part) for part in typing.get_args(hint)), set())


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_schema_has_no_field_that_the_sdk_does_not(name):
    hints = hints_of(PARAMETERS[name])
    properties = schema(name)["properties"]
    assert set(properties) <= set(hints)
    assert schema(name)["additionalProperties"] is False


@pytest.mark.parametrize(("name", "field"), sorted(WORDS))
def test_a_closed_list_has_no_word_that_the_sdk_does_not(name, field):
    hints = hints_of(PARAMETERS[name])
    known = words(hints[field])
    assert known, f"{field} is no closed list in the SDK"
    assert set(schema(name)["properties"][field]["enum"]) <= known


def test_intervals_of_stripes_limits_are_the_sdks():
    limit = _card_create_params.CardCreateParamsSpendingControlsSpendingLimit
    known = words(hints_of(limit)["interval"])
    controls = schema("stripe_create")["properties"]["spending_controls"]
    items = controls["properties"]["spending_limits"]["items"]
    assert set(items["properties"]["interval"]["enum"]) <= known
    assert set(items["properties"]) <= set(limit.__annotations__)
    spending = _card_create_params.CardCreateParamsSpendingControls
    assert set(controls["properties"]) <= set(spending.__annotations__)


def test_addresses_of_plastic_are_the_sdks():
    lithic = schema("lithic_create")["properties"]["shipping_address"]
    assert set(lithic["properties"]) <= set(ShippingAddress.__annotations__)
    hints = ShippingAddress.__annotations__.items()
    assert set(lithic["required"]) == {name for name, hint in hints if "Required" in str(hint)}
    stripe = schema("stripe_create")["properties"]["shipping"]
    shipping = _card_create_params.CardCreateParamsShipping
    assert set(stripe["properties"]) <= set(shipping.__annotations__)
    assert set(stripe["properties"]["service"]["enum"]) <= words(hints_of(shipping)["service"])
    address = stripe["properties"]["address"]
    known = _card_create_params.CardCreateParamsShippingAddress
    assert set(address["properties"]) <= set(known.__annotations__)
    assert set(address["required"]) == {"city", "country", "line1", "postal_code"}


def test_a_played_page_opens_to_what_the_issuers_own_library_signs_and_to_nothing_else():
    """The page that tests show in a frame takes what the issuer's does."""
    with playing() as played:
        client = lithic.Lithic(api_key=KEY, base_url=played.url)
        card = client.cards.create(type="VIRTUAL")
        ends = {"soon": 60, "late": 600, "over": -1}
        now = datetime.now(tz=timezone.utc)
        urls = {
            name: str(client.cards.get_embed_url(token=card.token, expiration=now + timedelta(seconds=after_s)))
            for name, after_s in ends.items()
        }
        with urllib.request.urlopen(urls["soon"], timeout=10) as page:
            assert NUMBER in page.read().decode()
        other = lithic.Lithic(api_key="sk_test_another", base_url=played.url)
        foreign = str(other.cards.get_embed_url(token=card.token, expiration=now + timedelta(seconds=60)))
        for url in [urls["late"], urls["over"], foreign]:
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(url, timeout=10)
            assert refused.value.code == 401
