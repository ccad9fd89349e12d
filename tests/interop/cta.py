"""STIX 1.1.1 packages such as the CTA service publishes, every one different.

Written as text, since the text is what matters: prefixes, order, CDATA, entities, comments.
"""

from xml.sax.saxutils import escape, quoteattr

NAMESPACES = """
  xmlns:c="http://cybox.mitre.org/cybox-2"
  xmlns:cc="http://cybox.mitre.org/common-2"
  xmlns:co="http://cybox.mitre.org/objects#CustomObject-1"
  xmlns:sc="http://stix.mitre.org/common-1"
  xmlns:ind="http://stix.mitre.org/Indicator-2"
  xmlns:ttp="http://stix.mitre.org/TTP-1"
  xmlns:camp="http://stix.mitre.org/Campaign-1"
  xmlns:inc="http://stix.mitre.org/Incident-1"
  xmlns:s="http://stix.mitre.org/stix-1"
  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
  xmlns:cta="http://cisco.com/td/cta" """


def packages(count, start=0):
    """`count` packages, the kinds in turn, numbered from `start`."""
    kinds = [
        web_flows,
        internal_flows,
        two_incidents,
        no_observables,
        odd_values,
        odd_structure,
        no_incidents,
    ]
    return [kinds[number % len(kinds)](number) for number in range(start, start + count)]


def web_flows(number):
    """The usual: one incident, one indicator, web requests."""
    flows = [web_flow(number, step) for step in range(3)]
    return package(number, incident(number, indicator(number, composition("AND", flows))))


def many_web_flows(number, count):
    """As `web_flows`, of whatever size; made quickly, since thousands are wanted of it."""
    mark = "step-of-the-flow"
    flow = web_flow(number, 0).replace(f"/{number}/0?", f"/{number}/{mark}?")
    flows = [flow.replace(mark, str(step)) for step in range(count)]
    return package(number, incident(number, indicator(number, composition("AND", flows))))


def internal_flows(number):
    """Flows inside the network, with the properties that only they have."""
    flows = [
        observable(
            "cta:swflow",
            startTime=1421623882432 + number,
            endTime=1421623889999 + number,
            networkProtocol="TCP",
            eta="",
            **{
                "client.ip": "10.1.2.3",
                "client.totalBytes": 400 + step,
                "client.macAddress": "00:11:22:33:44:55",
                "client.firstSeenPort": 49152 + step,
                "server.ip": "192.0.2.7",
                "server.totalBytes": 12345678901,
                "server.firstSeenPort": 443,
            },
            pDNSHostname="host.example.com",
            pDNSProbability="0.75",
        )
        for step in range(2)
    ]
    return package(number, incident(number, indicator(number, composition("OR", flows))))


def two_incidents(number):
    """Definitions named by idref, before and after their use; several indicators."""
    first = incident(
        number,
        indicator(f"{number}a", composition("AND", [web_flow(number, 0)]), ttp_idref=True),
        indicator(f"{number}b", composition("OR", [web_flow(number, 1)])),
        campaign=f"cta:campaign-titled-{number}",
        part="first",
    )
    second = incident(
        number,
        indicator(f"{number}c", composition("AND", [web_flow(number, 2)]), ttp_idref=True),
        campaign=f"cta:campaign-named-{number}",
        part="second",
    )
    campaigns = f"""
      <s:Campaigns>
        <s:Campaign xsi:type="camp:CampaignType" id="cta:campaign-titled-{number}">
          <camp:Title>  Ransomware
            family {number} </camp:Title>
        </s:Campaign>
        <s:Campaign xsi:type="camp:CampaignType" id="cta:campaign-named-{number}">
          <camp:Names><camp:Name>Spam bot {number}</camp:Name></camp:Names>
        </s:Campaign>
      </s:Campaigns>"""
    ttps = """
      <s:TTPs>
        <s:TTP xsi:type="ttp:TTPType" id="cta:ttp-shared">
          <ttp:Title>anomalous http traffic</ttp:Title>
        </s:TTP>
      </s:TTPs>"""
    return package(number, first + second, before=ttps, after=campaigns)


def no_observables(number):
    """An incident that tells of no flow is still an incident."""
    return package(number, incident(number, campaign="cta:campaign-defined-elsewhere"))


def odd_values(number):
    """Values that tempt a reader to guess, to tidy up or to lose something."""
    same = observable("cta:webflow", timestamp=1421623882432, sIP="192.0.2.1", csUrl="")
    flows = [
        same,
        observable("cta:webflow", timestamp=1421623882433, sIP="192.0.2.1", csUrl=""),
        same,
        same,
        observable(
            "cta:webflow",
            timestamp=" 1421623882432\n",
            xElapsedTime="0042",
            scHttpStatus="n/a",
            csContentBytes="1234567890123456789",
            scContentBytes="-1",
            sReputation="5.80",
            cUsername="007",
            scSHA256="0123456789012345678901234567890123456789012345678901234567890123",
            sCategory="  kept as it is\n\tto the last blank ",
            csUserAgent="a < b && \"c\" > 'd' \\ ü 日本 😀",
            csReferer="a##comma##b",
        ),
        # What ends a field, a frame or a message, or opens one, in syslog, CEF, LEEF and pairs.
        observable(
            "cta:web|flow\\",
            timestamp=1421623882434,
            cUsername="jane|doe=root act=evil cs1=\\",
            csUserAgent='a\\=b "c" d="e" [f] \\n \\" \\',
            csReferer="<13>1 - - - - - -\n<13>Jan 18 23:31:22 h t: CEF:0|a|b|1|c|d|9|act=evil\n",
            sCategory="\tusrName=evil\tsev=10",
            scFileName="",
        ),
        # Names of our own fields and of Splunk's.
        observable(
            "cta:webflow",
            host="flow's",
            source="flow's",
            _raw="flow's",
            time="flow's",
            victim="flow's",
            eventId="flow's",
        ),
        # A name twice, in an object without a kind.
        observable(None, [("sIP", "192.0.2.1"), ("cIP", "10.0.0.1"), ("sIP", "192.0.2.2")]),
        f"""<c:Observable><c:Object><c:Properties custom_name="cta:webflow"><cc:Custom_Properties>
          <cc:Property name="csUrl">http://<![CDATA[example.com/?a=1&b=<2>]]><!-- no -->/{number}&#x21;</cc:Property>
          <cc:Property name="sIP"/>
        </cc:Custom_Properties></c:Properties></c:Object></c:Observable>""",
        observable("cta:webflow", csUrl="http://example.com/" + "long/" * 1000),
    ]
    return package(number, incident(number, indicator(number, composition("AND", flows))))


def large(number, size):
    """One event that is longer than what many a receiver takes."""
    flow = observable("cta:webflow", csUrl="http://example.com/" + "l" * size)
    return package(number, incident(number, indicator(number, composition("AND", [flow]))))


def odd_structure(number):
    """Nothing where the schema puts it: the header last, no composition, one inside another."""
    alone = f"<ind:Observable>{content_of(web_flow(number, 0))}</ind:Observable>"
    nested = composition(
        "AND", [web_flow(number, 1), composition_inside("OR", [web_flow(number, 2)])]
    )
    incidents = f"""
      <s:Incident id="cta:incident-{number}-odd" timestamp="2015-01-20T15:11:02.766Z"
          URL="https://cta.example.com/incident?id={number}&amp;tab=1">
        <inc:Discovery_Method>Log Review</inc:Discovery_Method>
        <inc:Information_Source><sc:Tools>
          <cc:Tool idref="cta:tool-amp"/><cc:Tool idref="cta:tool-cta"/>
        </sc:Tools></inc:Information_Source>
        <inc:Related_Indicators><inc:Related_Indicator>
          <sc:Indicator id="cta:indicator-{number}-alone">
            <ind:Title>not the incident's title</ind:Title>
            <ind:Confidence><sc:Value>not the incident's</sc:Value></ind:Confidence>
            {alone}
          </sc:Indicator>
        </inc:Related_Indicator><inc:Related_Indicator>
          <sc:Indicator id="cta:indicator-{number}-nested">
            <ind:Indicated_TTP><sc:TTP><ttp:Title>first activity</ttp:Title></sc:TTP></ind:Indicated_TTP>
            <ind:Indicated_TTP><sc:TTP><ttp:Title>second activity</ttp:Title></sc:TTP></ind:Indicated_TTP>
            {nested}
          </sc:Indicator>
        </inc:Related_Indicator></inc:Related_Indicators>
        <inc:Intended_Effect>
          <sc:Description>Risk category</sc:Description><sc:Value>malware</sc:Value>
        </inc:Intended_Effect>
        <inc:Intended_Effect>
          <sc:Value>not a risk</sc:Value><sc:Description>Something else</sc:Description>
        </inc:Intended_Effect>
        <inc:Intended_Effect>
          <sc:Value>9</sc:Value><sc:Description>Risk</sc:Description>
        </inc:Intended_Effect>
        <inc:Victim><sc:Name>Jane
            Doe</sc:Name></inc:Victim>
        <inc:Victim><sc:Name>10.0.0.1</sc:Name></inc:Victim>
        <inc:Title>information stealer</inc:Title>
        <inc:Confidence><sc:Value>High</sc:Value></inc:Confidence>
      </s:Incident>"""
    return f"""<!-- before the root --><STIX_Package xmlns="http://stix.mitre.org/stix-1" {NAMESPACES}
      id="cta:package-{number}" timestamp="2015-01-20T16:11:02.766+01:00" version="1.1.1">
      <s:Incidents>{incidents}</s:Incidents>
      {header()}
    </STIX_Package>"""


def no_incidents(number):
    """Nothing was found: no event, and no fault either."""
    return package(number, None)


def package(number, incidents, before="", after=""):
    incidents = "" if incidents is None else f"<s:Incidents>{incidents}</s:Incidents>"
    return f"""<s:STIX_Package {NAMESPACES}
      id="cta:package-{number}" timestamp="2015-01-20T15:11:02.{number:03}Z" version="1.1.1">
      {header()}{before}{incidents}{after}
    </s:STIX_Package>"""


def header():
    return """
      <s:STIX_Header>
        <s:Package_Intent>Incident</s:Package_Intent>
        <s:Information_Source>
          <sc:Identity id="cta:customer-1234567890"/>
          <sc:Tools>
            <cc:Tool id="cta:tool-cta">
              <cc:Name>Cognitive Threat Analytics</cc:Name><cc:Vendor>Cisco</cc:Vendor>
            </cc:Tool>
            <cc:Tool id="cta:tool-amp">
              <cc:Name>Advanced Malware Protection</cc:Name><cc:Vendor>Cisco Systems</cc:Vendor>
            </cc:Tool>
          </sc:Tools>
        </s:Information_Source>
      </s:STIX_Header>"""


def incident(number, *indicators, campaign=None, part="only"):
    related = "".join(f"<inc:Related_Indicator>{one}</inc:Related_Indicator>" for one in indicators)
    related = f"<inc:Related_Indicators>{related}</inc:Related_Indicators>" if related else ""
    campaign = f'<inc:Related_Campaign idref="{campaign}"/>' if campaign else ""
    return f"""
      <s:Incident xsi:type="inc:IncidentType" id="cta:incident-{number}-{part}">
        <inc:Title>malware|using automatically
          generated domain (DGA) &amp; more</inc:Title>
        <inc:Victim><sc:Name>John Doe {number}</sc:Name></inc:Victim>
        {campaign}
        <inc:Intended_Effect>
          <sc:Value>{number % 10}</sc:Value><sc:Description>Risk</sc:Description>
        </inc:Intended_Effect>
        {related}
        <inc:Discovery_Method>Log Review</inc:Discovery_Method>
        <inc:Confidence><sc:Value>Low</sc:Value></inc:Confidence>
        <inc:Information_Source><sc:Tools><cc:Tool idref="cta:tool-cta"/></sc:Tools></inc:Information_Source>
      </s:Incident>"""


def indicator(name, observables, ttp_idref=False):
    ttp = (
        '<sc:TTP idref="cta:ttp-shared"/>'
        if ttp_idref
        else """<sc:TTP xsi:type="ttp:TTPType">
          <ttp:Title>communication to automatically generated domain
(DGA)</ttp:Title></sc:TTP>"""
    )
    return f"""
      <sc:Indicator xsi:type="ind:IndicatorType" id="cta:indicator-{name}">
        {observables}
        <ind:Indicated_TTP>{ttp}</ind:Indicated_TTP>
      </sc:Indicator>"""


def composition(operator, observables):
    inner = "".join(observables)
    return f"""<ind:Observable>
      <c:Observable_Composition operator="{operator}">{inner}</c:Observable_Composition>
    </ind:Observable>"""


def composition_inside(operator, observables):
    return composition(operator, observables).replace("ind:Observable>", "c:Observable>")


def web_flow(number, step):
    return observable(
        "cta:webflow",
        timestamp=1421623882432 + 1000 * number + step,
        xElapsedTime=1810,
        scHttpStatus=200,
        csContentBytes=622,
        scContentBytes=907,
        csUrl=f"http://example.com/{number}/{step}?a=1&b=2",
        sIP="192.0.2.231",
        cIP="10.196.39.11",
        sPort=80,
        cPort=49152 + step,
        cUsername="John Doe",
        sReputation=-580,
        sCategory="unclassified",
        scMD5="d41d8cd98f00b204e9800998ecf8427e",
    )


def observable(kind, properties=None, **named):
    rows = "".join(
        f"<cc:Property name={quoteattr(name)}>{escape(str(value))}</cc:Property>"
        for name, value in properties or named.items()
    )
    kind = f' custom_name="{kind}"' if kind else ""
    return f"""<c:Observable><c:Object><c:Properties xsi:type="co:CustomObjectType"{kind}>
      <cc:Custom_Properties>{rows}</cc:Custom_Properties>
    </c:Properties></c:Object></c:Observable>"""


def content_of(observable_element):
    return observable_element.removeprefix("<c:Observable>").removesuffix("</c:Observable>")
