"""What the agent should make of a package: a second reading of `docs/events.md`, by other means.

It shares no line with the agent: lxml builds the whole tree, and each field is one XPath.
"""

import hashlib
import re
from collections import Counter

from lxml import etree

NUMBERS = set(
    """timestamp xElapsedTime scHttpStatus csContentBytes scContentBytes sReputation sPort cPort
    startTime endTime client.totalBytes server.totalBytes client.firstSeenPort
    server.firstSeenPort""".split()
)
OUR_FIELDS = set(
    """eventId recordType service collection packageId packageTimestamp packageIntent customer
    incidentId incidentTitle incidentUrl victim discoveryMethod confidence risk riskCategory tool
    toolName toolVendor campaign campaignName indicatorId activity flowType
    compositionOperator incidentTime incidentCategory incidentStatus intendedEffect
    shortDescription description ttp ttpName malwareName exploitTarget exploitTargetName cve
    threatActor threatActorName courseOfAction courseOfActionName tlp markingStatement termsOfUse
    indicatorTitle indicatorType indicatorShortDescription indicatorDescription
    indicatorConfidence validFrom validUntil killChainPhase producer relatedIndicator objectType
    observableId objectId relatedObject relationship parentObject parentRelationship
    observableNegated indicatorNegated packageTitle packageSource undefinedMarking
    impactQualification impactEffect impactAssetLosses impactDisruption impactRecoveryCosts
    impactCompetitiveLoss impactBrandDamage impactOperatingCosts impactLegalCosts
    impactInitialLoss impactInitialLossCurrency impactActualLoss
    impactActualLossCurrency""".split()
)
SPLUNK_FIELDS = set("host source sourcetype index time punct linecount splunk_server".split())
INCIDENT_IDENTITY = [
    "incidentTitle",
    "incidentUrl",
    "victim",
    "discoveryMethod",
    "confidence",
    "risk",
    "riskCategory",
    "tool",
    "campaign",
]


def events(package, service=None, collection=None):
    """The events of one STIX package, in document order, as dictionaries."""
    root = etree.fromstring(package.encode(), etree.XMLParser(remove_comments=True))
    origin = {"service": service, "collection": collection, **_package_fields(root)}
    found = []
    for incident in _all(root, "Incidents/Incident"):
        of_incident = origin | _incident_fields(root, incident)
        flows = [
            flow
            for indicator in _all(incident, "Related_Indicators/Related_Indicator/Indicator")
            for flow in _flows(
                root,
                of_incident
                | _campaign_fields(root, _campaigns(incident) + _campaigns(indicator)),
                indicator,
            )
        ]
        found += flows or [_incident_event(of_incident)]
    return [{name: value for name, value in one.items() if value is not None} for one in found]


def _package_fields(root):
    return {
        "packageId": root.get("id"),
        "packageTimestamp": root.get("timestamp"),
        "packageIntent": _joined(_texts(root, "STIX_Header/Package_Intent")),
        "customer": _joined(
            one.get("id") for one in _all(root, "STIX_Header/Information_Source/Identity")
        ),
    }


def _incident_fields(root, incident):
    def effects(description):
        return _joined(
            _text(effect, "Value")
            for effect in _all(incident, "Intended_Effect")
            if _text(effect, "Description") == description
        )

    tools = [tool.get("idref") for tool in _all(incident, "Information_Source/Tools/Tool")]
    known_tools = _by_id(_all(root, "STIX_Header/Information_Source/Tools/Tool"))
    return {
        "incidentId": incident.get("id"),
        "incidentTitle": _joined(_texts(incident, "Title")),
        "incidentUrl": incident.get("URL"),
        "victim": _joined(_texts(incident, "Victim/Name")),
        "discoveryMethod": _joined(_texts(incident, "Discovery_Method")),
        "confidence": _joined(_texts(incident, "Confidence/Value")),
        "risk": effects("Risk"),
        "riskCategory": effects("Risk category"),
        "intendedEffect": _joined(
            _text(effect, "Value")
            for effect in _all(incident, "Intended_Effect")
            if _text(effect, "Description") not in ("Risk", "Risk category")
        ),
        "incidentCategory": _joined(_texts(incident, "Categories/Category")),
        "incidentStatus": _joined(_texts(incident, "Status")),
        "impactQualification": _joined(
            _texts(incident, "Impact_Assessment/Impact_Qualification")
        ),
        "shortDescription": _joined(_texts(incident, "Short_Description")),
        "description": _joined(_texts(incident, "Description")),
        "tool": _joined(tools),
        "toolName": _joined(_text(known_tools.get(tool), "Name") for tool in tools),
        "toolVendor": _joined(_text(known_tools.get(tool), "Vendor") for tool in tools),
        **_campaign_fields(root, _campaigns(incident)),
    }


def _campaigns(element):
    """As the service names them, and as the schema of indicators does."""
    named = _all(element, "Related_Campaign")
    return [one.get("idref") for one in named + _all(element, "Related_Campaigns/Related_Campaign/Campaign")]


def _campaign_fields(root, campaigns):
    campaigns = list(dict.fromkeys(campaigns))
    known = _by_id(_all(root, "Campaigns/Campaign"))
    return {
        "campaign": _joined(campaigns),
        "campaignName": _joined(
            _text(known.get(campaign), "Title") or _text(known.get(campaign), "Names/Name")
            for campaign in campaigns
        ),
    }


def _incident_event(of_incident):
    identity = ["1", "incident", of_incident["incidentId"]]
    for name in INCIDENT_IDENTITY:
        if of_incident[name] is not None:
            identity += [name, of_incident[name]]
    return of_incident | {"recordType": "incident", "eventId": _event_id(identity)}


def _flows(root, of_incident, indicator):
    known_ttps = _by_id(_all(root, "TTPs/TTP"))
    activity = _joined(
        _text(known_ttps.get(ttp.get("idref"), ttp), "Title")
        for ttp in _all(indicator, "Indicated_TTP/TTP")
    )
    ttps = [
        ttp.get("id") or ttp.get("idref") for ttp in _all(indicator, "Indicated_TTP/TTP")
    ]
    seen = Counter()
    for properties in _all(indicator, "/Object/Properties"):
        raw = [(one.get("name"), one.text or "") for one in _all(properties, "/Property")]
        flow_type = properties.get("custom_name")
        identity = [
            "1",
            "flow",
            of_incident["incidentId"],
            indicator.get("id") or "",
            flow_type or "",
            *(text for row in raw for text in row),
        ]
        ordinal = seen[tuple(identity)]
        seen[tuple(identity)] += 1
        compositions = properties.xpath("ancestor::*[local-name()='Observable_Composition']")
        yield of_incident | _property_fields(raw) | {
            "recordType": "flow",
            "eventId": _event_id([*identity, str(ordinal)]),
            "indicatorId": indicator.get("id"),
            "indicatorTitle": _joined(_texts(indicator, "Title")),
            "indicatorType": _joined(_texts(indicator, "Type")),
            "indicatorShortDescription": _joined(_texts(indicator, "Short_Description")),
            "indicatorDescription": _joined(_texts(indicator, "Description")),
            "indicatorConfidence": _joined(_texts(indicator, "Confidence/Value")),
            "producer": _joined(_texts(indicator, "Producer/Identity/Name")),
            "activity": activity,
            "ttp": _joined(dict.fromkeys(ttps)),
            "flowType": flow_type,
            "compositionOperator": compositions[-1].get("operator") if compositions else None,
        }


def _property_fields(raw):
    fields = {}
    for name, value in raw:
        if name in NUMBERS and re.fullmatch("-?[0-9]{1,18}", value.strip()):
            value = int(value)
        if name in OUR_FIELDS | SPLUNK_FIELDS or name.startswith("_"):
            name = f"property_{name}"
        fields.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in fields.items()}


def _event_id(texts):
    """The first 128 bits of SHA-256 over the texts, each after its length in UTF-8."""
    digest = hashlib.sha256()
    for text in texts:
        octets = text.encode()
        digest.update(len(octets).to_bytes(4, "big") + octets)
    return digest.hexdigest()[:32]


def _all(element, path):
    """Elements by local names, whatever their namespaces; a leading slash means at any depth."""
    if element is None:
        return []
    start, path = (".//", path[1:]) if path.startswith("/") else ("./", path)
    steps = "/".join(f"*[local-name()='{name}']" for name in path.split("/"))
    return element.xpath(start + steps)


def _texts(element, path):
    """The texts of these elements, white space folded."""
    return [" ".join("".join(one.itertext()).split()) for one in _all(element, path)]


def _text(element, path):
    return next(iter(_texts(element, path)), None)


def _by_id(elements):
    return {element.get("id"): element for element in elements if element.get("id")}


def _joined(values):
    return "; ".join(value for value in values if value) or None
