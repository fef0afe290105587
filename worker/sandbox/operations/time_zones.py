"""GetServerTimeZones: UTC, the one the sandbox has."""

from typing import Final

from worker.sandbox.exchange import Call, Exchange
from worker.sandbox.operations.operation import Operation
from worker.sandbox.soap import Refusal, answer, m, refused, success


async def _handle(_exchange: Exchange, call: Call) -> bytes:
    asked = {(each.text or "").strip() for each in call.element.iterfind(f"{m('Ids')}/*")}
    if asked - {"UTC"}:
        refusal = Refusal("ErrorTimeZone", "The sandbox knows the time zone UTC only.")
        return answer("GetServerTimeZones", [refused("GetServerTimeZones", refusal, "<m:TimeZoneDefinitions/>")])
    rules = _RULES if call.element.get("ReturnFullTimeZoneData") in ("true", "1", None) else ""
    zone = f'<t:TimeZoneDefinition Id="UTC" Name="(UTC) Coordinated Universal Time">{rules}</t:TimeZoneDefinition>'
    inner = f"<m:TimeZoneDefinitions>{zone}</m:TimeZoneDefinitions>"
    return answer("GetServerTimeZones", [success("GetServerTimeZones", inner)])


_PERIOD: Final = "trule:Microsoft/Registry/UTC/1-Standard"
_RULES: Final = (
    f'<t:Periods><t:Period Bias="PT0S" Name="Standard" Id="{_PERIOD}"/></t:Periods>'
    '<t:TransitionsGroups><t:TransitionsGroup Id="0"><t:Transition>'
    f'<t:To Kind="Period">{_PERIOD}</t:To></t:Transition></t:TransitionsGroup></t:TransitionsGroups>'
    '<t:Transitions><t:Transition><t:To Kind="Group">0</t:To></t:Transition></t:Transitions>'
)

GET_SERVER_TIME_ZONES = Operation(_handle)
