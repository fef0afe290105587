"""Restriction and SortOrder of FindItem, as far as everyday clients use them."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from worker.sandbox.item import Item
from worker.sandbox.reading import moment, property_key, tag_field
from worker.sandbox.soap import Element, Refusal, local, t

Test = Callable[[Item], bool]
Value = Callable[[Item], Any]

_EPOCH: Final = datetime.min.replace(tzinfo=UTC)


def _moment(field: str) -> Value:
    return lambda item: getattr(item, field) or _EPOCH


_FIELDS: Final[dict[str, Value]] = {
    "item:ItemClass": lambda item: item.item_class,
    "item:Subject": lambda item: item.subject,
    "item:Body": lambda item: item.body,
    "item:Importance": lambda item: ("Low", "Normal", "High").index(item.importance),
    "item:Sensitivity": lambda item: item.sensitivity,
    "item:Size": lambda item: item.size,
    "item:InReplyTo": lambda item: item.in_reply_to,
    "item:IsSubmitted": lambda item: item.is_submitted,
    "item:IsDraft": lambda item: item.is_draft,
    "item:HasAttachments": lambda item: bool(item.attachments),
    "item:Categories": lambda item: ";".join(item.categories),
    "item:DateTimeCreated": _moment("created_at"),
    "item:DateTimeReceived": _moment("received_at"),
    "item:DateTimeSent": _moment("sent_at"),
    "item:LastModifiedTime": _moment("modified_at"),
    "item:DisplayTo": lambda item: "; ".join(each.name or each.address for each in item.to),
    "item:DisplayCc": lambda item: "; ".join(each.name or each.address for each in item.cc),
    "message:From": lambda item: item.from_.address if item.from_ else "",
    "message:Sender": lambda item: item.sender.address if item.sender else "",
    "message:ToRecipients": lambda item: " ".join(each.address for each in item.to),
    "message:CcRecipients": lambda item: " ".join(each.address for each in item.cc),
    "message:InternetMessageId": lambda item: item.message_id,
    "message:References": lambda item: item.references,
    "message:IsRead": lambda item: item.is_read,
    "message:IsReadReceiptRequested": lambda item: item.read_receipt,
}
_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "IsEqualTo": lambda left, right: left == right,
    "IsNotEqualTo": lambda left, right: left != right,
    "IsGreaterThan": lambda left, right: left > right,
    "IsGreaterThanOrEqualTo": lambda left, right: left >= right,
    "IsLessThan": lambda left, right: left < right,
    "IsLessThanOrEqualTo": lambda left, right: left <= right,
}


def test_of(restriction: Element) -> Test:
    """The condition a Restriction states. Raises Refusal for what the sandbox does not know."""
    return _all([_condition(each) for each in restriction])


def newest_first(sort_order: Element | None) -> bool | None:
    """Whether the order asked for is the one folders are kept in: True newest modified first (also when nothing is
    asked), False oldest first, None for any other order.
    """
    if sort_order is None or len(sort_order) == 0:
        return True
    field = sort_order[0].find(t("FieldURI"))
    if len(sort_order) == 1 and field is not None and field.get("FieldURI") == "item:LastModifiedTime":
        return sort_order[0].get("Order") == "Descending"
    return None


def in_order(items: list[Item], sort_order: Element) -> list[Item]:
    """Sorted by several fields: the last one first, since sorting is stable."""
    for order in reversed(sort_order):
        value = _value(order[0])
        items.sort(key=lambda item: (value(item) is not None, value(item)), reverse=order.get("Order") == "Descending")
    return items


def _condition(element: Element) -> Test:
    name = local(element)
    if name == "And":
        return _all([_condition(each) for each in element])
    if name == "Or":
        tests = [_condition(each) for each in element]
        return lambda item: any(test(item) for test in tests)
    if name == "Not":
        inner = _condition(element[0])
        return lambda item: not inner(item)
    if name == "Exists":
        value = _value(element[0])
        return lambda item: value(item) not in (None, "", _EPOCH)
    if name == "Contains":
        return _contains(element)
    if name in _COMPARE:
        return _comparison(element, _COMPARE[name])
    raise Refusal("ErrorUnsupportedQueryFilter", f"The sandbox does not know the condition {name}.")


def _all(tests: list[Test]) -> Test:
    return lambda item: all(test(item) for test in tests)


def _comparison(element: Element, holds: Callable[[Any, Any], bool]) -> Test:
    value, other = _value(element[0]), element[1]
    constant = other.find(t("Constant"))
    if constant is None:
        right = _value(other[0])
        return lambda item: value(item) is not None and holds(value(item), right(item))
    text = constant.get("Value") or ""

    def test(item: Item) -> bool:
        left = value(item)
        return left is not None and holds(left, _like(left, text))

    return test


def _contains(element: Element) -> Test:
    value, constant = _value(element[0]), element[1].get("Value") or ""
    mode = element.get("ContainmentMode") or "Substring"
    folded = element.get("ContainmentComparison", "Exact") != "Exact"

    def test(item: Item) -> bool:
        found = str(value(item) or "")
        text, wanted = (found.casefold(), constant.casefold()) if folded else (found, constant)
        if mode == "FullString":
            return text == wanted
        return text.startswith(wanted) if mode.startswith("Prefix") else wanted in text

    return test


def _like(sample: object, text: str) -> object:
    """A constant's text as a value of the same type as what it is compared with."""
    if isinstance(sample, bool):
        return text.lower() in ("true", "1")
    if isinstance(sample, datetime):
        return moment(text)
    if isinstance(sample, int):
        return ("Low", "Normal", "High").index(text) if text in ("Low", "Normal", "High") else int(text)
    return text


def _value(path: Element) -> Value:
    if local(path) == "ExtendedFieldURI":
        key = property_key(path)
        field = tag_field(key)

        def extended(item: Item) -> object:
            if field:
                return getattr(item, field)
            found = item.properties.get(key)
            return None if found is None else found.value

        return extended
    uri = path.get("FieldURI") or ""
    if uri not in _FIELDS:
        raise Refusal("ErrorUnsupportedPathForQuery", f"The property {uri} cannot be used here.")
    return _FIELDS[uri]
