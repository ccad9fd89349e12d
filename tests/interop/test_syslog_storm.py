"""Servers that are stopped, restarted and killed while events flow to them: what arrives after all.

RELP is the promise that nothing is lost. TCP and TLS lose what the server's kernel had taken and
the server had not read when it went, and nothing else. UDP promises nothing.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import cta
from agent import read_event
from arrivals import Arrivals
from storm import BREAKS, Storm
from syslog_case import (
    APP_NAME,
    COUNTED,
    INFORMATIONAL,
    LINES,
    LOCAL0,
    TLS,
    SyslogTest,
    Way,
)
from syslog_ng_server import SyslogNgServer
from syslog_server import SyslogServer

EVENTS_PER_PACKAGE = 2_000
PACKAGES = max(1, int(os.environ.get("STORM_EVENTS", "100000")) // EVENTS_PER_PACKAGE)
EVENTS = PACKAGES * EVENTS_PER_PACKAGE

# RELP: messages that may wait for their answer, and so come again after a break.
WINDOW = {"window": 128}
WAYS = {
    "rsyslog-udp": Way(SyslogServer, "udp", {"transport": "udp"}),
    "rsyslog-tcp-counted": Way(SyslogServer, "tcp", {"transport": "tcp"} | COUNTED),
    "rsyslog-tcp-lines": Way(SyslogServer, "tcp", {"transport": "tcp"} | LINES),
    "rsyslog-tls": Way(SyslogServer, "tls", {"transport": "tls"} | TLS),
    "rsyslog-relp": Way(SyslogServer, "relp", {"transport": "relp"} | WINDOW),
    "rsyslog-relp-tls": Way(SyslogServer, "relp_tls", {"transport": "relp_tls"} | WINDOW | TLS),
    "syslog-ng-network": Way(SyslogNgServer, "network_5424", {"transport": "tcp"} | LINES),
    "syslog-ng-syslog": Way(SyslogNgServer, "syslog", {"transport": "tcp"} | COUNTED),
    "syslog-ng-tls": Way(SyslogNgServer, "syslog_tls", {"transport": "tls"} | TLS),
}


class SyslogStorm(SyslogTest):
    def test_servers_break_while_events_flow(self):
        packages = [cta.many_web_flows(number, EVENTS_PER_PACKAGE) for number in range(PACKAGES)]
        agent, receivers = self.agent_with(WAYS, self.publish(packages))
        process = self.until_stopped(agent.start())
        # Before that `status` asks nobody, and holds the state while it looks.
        process.wait_until(lambda: "agent: started" in process.log(), "start of the agent")
        with ThreadPoolExecutor(len(receivers)) as threads:
            storms = {
                name: threads.submit(Storm(receiver, agent, process, EVENTS).blow)
                for name, receiver in receivers.items()
            }
        breaks = {name: storm.result() for name, storm in storms.items()}
        process.wait_until(lambda: len(agent.event_lines()) >= EVENTS, "all events in the file")
        self.finish(process, receivers)

        sent = agent.event_lines()
        self.assertEqual(len({read_event(line)["eventId"] for line in sent}), EVENTS)
        for name, receiver in receivers.items():
            with self.subTest(name):
                self.check(receiver, breaks[name], sent)

    def check(self, receiver, breaks, sent):
        lives = receiver.lives()
        headers = {(m.facility, m.severity, m.app_name, m.msgid) for life in lives for m in life}
        arrivals = Arrivals(sent, [[message.text for message in life] for life in lives])
        losses = arrivals.losses()
        runs = [loss.events for loss in losses]
        print(
            f"        {receiver.name}: {breaks} breaks, {arrivals.different} of {EVENTS} events,"
            f" {arrivals.repeated} repeated, {sum(runs)} lost{f' in runs of {runs}' if runs else ''}",
            flush=True,
        )
        self.assertEqual(headers, {(LOCAL0, INFORMATIONAL, APP_NAME, "flow")})
        self.assertEqual(arrivals.strangers[:1], [], f"{len(arrivals.strangers)} are no event")
        transport = WAYS[receiver.name].output["transport"]
        if transport == "udp":
            return
        if transport.startswith("relp"):
            self.assertEqual(breaks, len(BREAKS), "the events were over before the storm was")
            self.assertEqual(losses, [])
            self.assertLessEqual(arrivals.repeated, breaks * WINDOW["window"])
            return
        # With many losses a server never has as many messages as the last breaks wait for.
        self.assertGreaterEqual(breaks, len(BREAKS) // 2)
        for loss in losses:
            self.assertTrue(loss.explained, f"lost while the server lived: {loss}")
            lost = sent[loss.first : loss.last + 1]
            self.assertLessEqual(sum(map(len, lost)), receiver.most_bytes_unread())
