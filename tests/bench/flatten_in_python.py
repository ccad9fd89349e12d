"""Flattens a poll response as a script with libtaxii and lxml would: one JSON object for each flow."""

import json
import sys

import libtaxii.messages_11 as tm11
from lxml import etree


def local(element):
    return etree.QName(element).localname


def named(element, name):
    return [found for found in element.iter("{*}" + name)]


def text(element, name):
    found = element.find(".//{*}" + name)
    return found.text if found is not None else None


def flatten(block):
    content = etree.fromstring(block.content)
    packages = [content] if local(content) == "STIX_Package" else named(content, "STIX_Package")
    for package in packages:
        for incident in named(package, "Incident"):
            around = {
                "packageId": package.get("id"),
                "incidentId": incident.get("id"),
                "incidentTitle": text(incident, "Title"),
            }
            for observable in named(incident, "Properties"):
                event = dict(around)
                for one in named(observable, "Property"):
                    event[one.get("name")] = one.text
                yield event


def main():
    with open(sys.argv[1], "rb") as file:
        response = tm11.get_message_from_xml(file.read())
    for block in response.content_blocks:
        for event in flatten(block):
            print(json.dumps(event))


main()
